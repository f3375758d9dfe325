//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Kubernetes workloads from one small binary.
///
/// `cox up` starts an API server, controllers, a scheduler and a node in one process. Point kubectl at it with the
/// context `cox`, or with the kubeconfig that `cox kubeconfig` prints.
#[derive(Parser)]
#[command(name = "cox", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  cox up                                  a cluster with one node, in the foreground
  cox up -d --nodes 3                     three nodes on this machine, in the background
  cox up --no-node --store memory         only the API, for tests of operators and clients
  cox image build --from ./root -t app:1  an image from a directory
  cox node stop node-2                    as if that machine had failed
  cox down --purge                        stop everything and leave nothing behind";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the control plane and the node(s). Ctrl-C ends them; pods run on and are found by the next start.
    Up(Up),
    /// Start the control plane alone: API server, controllers and scheduler, without a node.
    Server(ControlPlane),
    /// Show what runs, where, and how much it uses.
    Status(DataDir),
    /// Stop everything, pods included.
    Down(Down),
    /// The nodes of `cox up --nodes N`.
    Node(NodeArgs),
    /// Images on this machine's nodes.
    Image(ImageArgs),
    /// Print the administrator's kubeconfig.
    Kubeconfig(DataDir),
}

#[derive(Args, Clone)]
pub(crate) struct DataDir {
    /// Where everything is kept.
    #[arg(long, default_value = "/var/lib/cox", global = true)]
    pub(crate) data_dir: PathBuf,
}

/// What `up` and `server` have in common.
#[derive(Args, Clone)]
pub(crate) struct ControlPlane {
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Run in the background.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Where the API is served; repeatable.
    #[arg(long, default_value = "127.0.0.1:6443")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Where objects are kept: embedded (in the data directory) or memory (gone at the end).
    #[arg(long, default_value = "embedded")]
    pub(crate) store: StoreKind,
    /// Addresses of pods; each node gets a /24 of it.
    #[arg(long, default_value = "10.42.0.0/16")]
    pub(crate) pod_cidr: String,
    /// Addresses of services.
    #[arg(long, default_value = "10.43.0.0/16")]
    pub(crate) service_cidr: String,
    /// Don't put the context `cox` into the user's own kubeconfig.
    #[arg(long)]
    pub(crate) no_merge: bool,
    /// Seconds for which the API is served as before when it is told to end, while /readyz fails.
    #[arg(long, default_value_t = 0, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=3600))]
    pub(crate) shutdown_delay_duration: u64,
    #[command(flatten)]
    pub(crate) audit: AuditFlags,
}

/// The audit log, by upstream's names.
#[derive(Args, Clone)]
pub(crate) struct AuditFlags {
    /// Where requests are recorded, one line of JSON an event; - is the standard output. Needs --audit-policy-file.
    #[arg(long, requires = "audit_policy_file")]
    pub(crate) audit_log_path: Option<PathBuf>,
    /// Which requests are recorded, and how much of them: an audit.k8s.io/v1 Policy.
    #[arg(long, requires = "audit_log_path")]
    pub(crate) audit_policy_file: Option<PathBuf>,
    /// Megabytes of the audit log before a new file begins.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) audit_log_maxsize: u64,
    /// Old files of the audit log that are kept; 0 is all.
    #[arg(long, default_value_t = 100)]
    pub(crate) audit_log_maxbackup: usize,
    /// Days for which old files of the audit log are kept; 0 is for ever.
    #[arg(long, default_value_t = 366)]
    pub(crate) audit_log_maxage: u32,
}

#[derive(Args, Clone)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) control: ControlPlane,
    /// The node's name; with --nodes N the names are NAME-1 to NAME-N. The machine's host name unless given.
    #[arg(long)]
    pub(crate) node_name: Option<String>,
    /// How many nodes; more than one live in network namespaces of their own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=32), conflicts_with = "no_node")]
    pub(crate) nodes: u16,
    /// Only the API server and its store: nothing is scheduled, nothing reconciles (for tests of operators and
    /// clients; namespaces still get their service account). `cox server` runs the controllers as well.
    #[arg(long)]
    pub(crate) no_node: bool,
}

/// Where objects are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Embedded,
    Memory,
}

impl std::str::FromStr for StoreKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "embedded" => Ok(StoreKind::Embedded),
            "memory" => Ok(StoreKind::Memory),
            other if other.starts_with("etcd=") => {
                Err("the etcd store is not available yet; use embedded or memory".into())
            }
            other => Err(format!("{other:?} is neither embedded nor memory")),
        }
    }
}

#[derive(Args, Clone)]
pub(crate) struct Down {
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Delete the data as well.
    #[arg(long)]
    pub(crate) purge: bool,
}

#[derive(Args, Clone)]
pub(crate) struct NodeArgs {
    #[command(flatten)]
    pub(crate) data: DataDir,
    #[command(subcommand)]
    pub(crate) command: NodeCommand,
}

#[derive(Subcommand, Clone)]
pub(crate) enum NodeCommand {
    /// List them.
    Ls,
    /// Stop one as if its machine had failed: nothing is said, nothing answers, its containers are gone.
    Stop {
        /// The node's name.
        name: String,
    },
    /// Bring it back.
    Start {
        /// The node's name.
        name: String,
    },
}

#[derive(Args, Clone)]
pub(crate) struct ImageArgs {
    #[command(flatten)]
    pub(crate) data: DataDir,
    #[command(subcommand)]
    pub(crate) command: ImageCommand,
}

#[derive(Subcommand, Clone)]
pub(crate) enum ImageCommand {
    /// Load a docker or OCI archive.
    Load {
        /// The archive; plain, gzip or zstd.
        file: PathBuf,
    },
    /// Fetch an image from its registry.
    Pull {
        /// As in registry.example.com/app:1.
        reference: String,
    },
    /// List them.
    Ls,
    /// Remove one.
    Rm {
        /// Its name or id.
        reference: String,
    },
    /// Make one of a directory.
    Build {
        /// The root of its file system.
        #[arg(long)]
        from: PathBuf,
        /// Its name.
        #[arg(short, long)]
        tag: String,
        /// Its entry point, as one word or several.
        #[arg(long, num_args = 1..)]
        entrypoint: Vec<String>,
        /// Its default arguments.
        #[arg(long, num_args = 1..)]
        cmd: Vec<String>,
        /// NAME=VALUE; repeatable.
        #[arg(long)]
        env: Vec<String>,
    },
}
