//! What the agent and the supervisor say to each other.
//!
//! Both directions carry frames of JSON (see [`wire`](crate::wire)). The agent sends [`Request`]s and gets one
//! [`Message::Reply`] for each, in any order; a connection that asked for [`Call::Subscribe`] also gets
//! [`Message::Event`]s. Paths and ids are resolved by the agent: the supervisor takes no decisions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Version of this protocol. A supervisor runs as long as its pod, through upgrades of the agent, so what is
/// here may be added to but not changed.
pub const VERSION: u32 = 1;

/// The supervisor's socket in the pod's directory.
pub const SOCKET_FILE: &str = "shim.sock";
/// What the supervisor should be, written by the agent before it starts it: a [`SandboxSpec`].
pub const SPEC_FILE: &str = "spec.json";
/// What the supervisor knows, written by it after each change: a [`State`].
pub const STATE_FILE: &str = "state.json";
/// What the supervisor says on its standard output once it serves its socket.
pub const READY: &str = "ready\n";

/// The namespaces of a pod.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Protocol version of the agent.
    pub version: u32,
    /// Host name in a UTS namespace of its own; `None`: the host's.
    pub hostname: Option<String>,
    /// Network namespace.
    pub network: Network,
    /// Share the host's IPC namespace and `/dev/shm`.
    pub host_ipc: bool,
    /// Processes.
    pub pid: PidMode,
    /// User namespace.
    pub user_namespace: Option<IdMap>,
    /// Kernel parameters, by dotted name.
    pub sysctls: BTreeMap<String, String>,
    /// Size of `/dev/shm`, in bytes.
    pub shm_size_bytes: u64,
    /// Files into which the supervisor writes `0` to join its own cgroup.
    pub cgroup_join: Vec<PathBuf>,
}

/// A pod's network namespace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub enum Network {
    /// The one the supervisor is started in.
    #[default]
    Host,
    /// The one bound here.
    Join(PathBuf),
    /// A new one in the pod's user namespace, to be bound here.
    Create(PathBuf),
}

/// Whose processes the containers of a pod see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidMode {
    /// Each container its own.
    #[default]
    Container,
    /// All containers of the pod each other's.
    Pod,
    /// The host's.
    Host,
}

/// Ids 0 to `size - 1` inside are those from `uid` and `gid` on outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// First user id outside.
    pub uid: u32,
    /// First group id outside.
    pub gid: u32,
    /// How many.
    pub size: u32,
}

/// A container, with everything resolved.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Its id.
    pub id: String,
    /// Its file system.
    pub rootfs: Rootfs,
    /// Mounts into it, parents before children.
    pub mounts: Vec<Mount>,
    /// Device nodes beyond the standard ones.
    pub devices: Vec<DeviceNode>,
    /// `/sys` and `/sys/fs/cgroup` are writable.
    pub writable_sys: bool,
    /// Paths to hide.
    pub masked_paths: Vec<String>,
    /// Paths to make read-only.
    pub readonly_paths: Vec<String>,
    /// Its first process.
    pub process: Process,
    /// Its standard input is a pipe that attached clients write to.
    pub stdin: bool,
    /// It is closed when the first attached client's input ends.
    pub stdin_once: bool,
    /// Its log file.
    pub log_path: Option<PathBuf>,
    /// What it sees below `/sys/fs/cgroup`: name there (empty: the directory itself) and directory.
    pub cgroup_view: Vec<(String, PathBuf)>,
    /// Files into which a member writes `0` to join its cgroup.
    pub cgroup_join: Vec<PathBuf>,
    /// The file that counts kills for want of memory.
    pub oom_file: Option<PathBuf>,
}

/// A root file system: an overlay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rootfs {
    /// The directory the layers are in.
    pub layers_dir: PathBuf,
    /// Names in there, the top layer first.
    pub layers: Vec<String>,
    /// The writable layer.
    pub upper: PathBuf,
    /// The overlay's work directory.
    pub work: PathBuf,
    /// An empty directory to mount it on (in a mount namespace of the container's own).
    pub target: PathBuf,
    /// Read-only.
    pub readonly: bool,
}

/// A mount of something of the host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is on the host.
    pub source: PathBuf,
    /// A path below it that is meant in its place; may not lead out of it.
    pub sub_path: Option<PathBuf>,
    /// Where it should be in the container.
    pub target: PathBuf,
    /// Read-only.
    pub readonly: bool,
    /// With everything below it.
    pub recursive_readonly: bool,
    /// Which later mounts cross it.
    pub propagation: Propagation,
    /// Translate ids by the pod's user namespace.
    pub id_mapped: bool,
}

/// Which later mounts cross a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// None.
    #[default]
    Private,
    /// The host's.
    FromHost,
    /// The host's and the container's.
    Both,
}

/// A device node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DeviceNode {
    /// Its path in the container.
    pub path: PathBuf,
    /// Block device; else character device.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
}

/// A process in a container.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments; the program is looked up in the environment's `PATH`.
    pub args: Vec<String>,
    /// Environment, `NAME=value`. `HOME` is added if it is missing.
    pub env: Vec<String>,
    /// Working directory; made if missing.
    pub cwd: String,
    /// Who it is.
    pub user: User,
    /// Capabilities, as bits.
    pub capabilities: u64,
    /// It can't gain privileges.
    pub no_new_privs: bool,
    /// System call filter: packed instructions, see `cox_sys::seccomp::Instruction::pack`.
    pub seccomp: Vec<u64>,
    /// It has a terminal.
    pub tty: bool,
    /// Preference of the out-of-memory killer.
    pub oom_score_adj: Option<i32>,
}

/// Who a process is, to be looked up in the container's own `/etc/passwd` and `/etc/group`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct User {
    /// `user`, `user:group`, each a name or a number; empty: root.
    pub name: String,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Also the groups that `/etc/group` puts the user in.
    pub image_groups: bool,
}

/// Who a process became.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedUser {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Further groups inside.
    pub groups: Vec<u32>,
}

/// A question with a number of the asker's choice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The reply has it too.
    pub id: u64,
    /// What is asked.
    pub call: Call,
}

/// What the agent can ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Call {
    /// The first on each connection.
    Hello {
        /// The agent's protocol version.
        version: u32,
    },
    /// Make a container up to the point of executing its program.
    Create(Box<ContainerSpec>),
    /// Execute it.
    Start {
        /// The container.
        id: String,
    },
    /// Send a signal to its process.
    Signal {
        /// The container.
        id: String,
        /// The signal's number.
        signal: i32,
    },
    /// Run a program in a running container. The request comes with descriptors for the streams that are true
    /// here, in this order; with a terminal there are none, but the reply brings its master. After the reply
    /// the connection gets [`Event::ExecExited`]; closing it before kills the program and its session.
    Exec {
        /// The container.
        id: String,
        /// Program and arguments.
        args: Vec<String>,
        /// With a terminal.
        tty: bool,
        /// A descriptor for standard input comes along.
        stdin: bool,
        /// And for standard output.
        stdout: bool,
        /// And for standard error.
        stderr: bool,
    },
    /// Connect descriptors (as with exec) to the container's own streams. When they end the connection gets
    /// [`Event::AttachEnded`].
    Attach {
        /// The container.
        id: String,
        /// A descriptor to read input from comes along.
        stdin: bool,
        /// One to write standard output to.
        stdout: bool,
        /// One to write standard error to.
        stderr: bool,
    },
    /// Set the size of a container's terminal.
    Resize {
        /// The container.
        id: String,
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Open the log file anew by its name.
    ReopenLog {
        /// The container.
        id: String,
    },
    /// Forget a container, killing it if need be; the reply comes when it is gone.
    Remove {
        /// The container.
        id: String,
    },
    /// What there is.
    State,
    /// Send events on this connection from now on; the reply is the state.
    Subscribe,
    /// Kill everything; the reply (the last state) comes when all are gone, then the supervisor ends.
    Shutdown,
}

/// What the supervisor sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// The answer to a request.
    Reply {
        /// The request's number.
        id: u64,
        /// Its result.
        result: Result<Reply, Failure>,
    },
    /// Something happened.
    Event(Event),
}

/// Results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// Hello.
    Hello {
        /// The supervisor's protocol version.
        version: u32,
        /// Its process id.
        pid: u32,
    },
    /// The container is ready to start.
    Created {
        /// Its process.
        pid: u32,
        /// Who it will be.
        user: ResolvedUser,
        /// The wanted `oom_score_adj` was refused by the kernel; it has the supervisor's.
        oom_score_clamped: bool,
    },
    /// It runs.
    Started {
        /// Since when, in nanoseconds since 1970.
        started_at_ns: i64,
    },
    /// The program runs. With a terminal the reply comes with the master's descriptor.
    ExecStarted {
        /// Its process.
        pid: u32,
    },
    /// All containers.
    State(State),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Sort of failure.
    pub kind: FailureKind,
    /// For people.
    pub message: String,
}

/// Sorts of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// No such container.
    NotFound,
    /// Not in this state.
    WrongState,
    /// It was tried and failed.
    Failed,
}

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// A container's process is gone.
    ContainerExited {
        /// The container.
        id: String,
        /// How.
        exit: Exit,
    },
    /// The program this connection asked for is gone.
    ExecExited {
        /// Exit code, 128 + signal if a signal ended it.
        code: i32,
    },
    /// The streams this connection attached to have ended.
    AttachEnded,
}

/// How a container's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code, 128 + signal if a signal ended it.
    pub code: i32,
    /// The signal.
    pub signal: Option<i32>,
    /// The kernel killed something in its cgroup for want of memory.
    pub oom_killed: bool,
    /// When it was found gone, in nanoseconds since 1970.
    pub finished_at_ns: i64,
}

/// All containers of a pod.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The supervisor's process.
    pub pid: u32,
    /// Containers, oldest first.
    pub containers: Vec<ContainerState>,
}

/// What the supervisor knows of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerState {
    /// Its id.
    pub id: String,
    /// Its process on the host.
    pub pid: u32,
    /// When that process was made, in clock ticks since the machine's start: together with the id it names the
    /// process for good.
    pub pid_start_ticks: u64,
    /// Where it is in its life.
    pub phase: Phase,
    /// Who it runs as.
    pub user: ResolvedUser,
    /// When it was created, in nanoseconds since 1970.
    pub created_at_ns: i64,
    /// When it was started.
    pub started_at_ns: Option<i64>,
    /// Why it couldn't be started.
    pub start_error: Option<String>,
    /// How it ended.
    pub exit: Option<Exit>,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Being prepared.
    Creating,
    /// Ready to start.
    Created,
    /// About to execute its program.
    Starting,
    /// Running.
    Running,
    /// Gone.
    Exited,
}
