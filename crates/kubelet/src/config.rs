//! What a kubelet is told about its node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::container::etc::DnsConfig;
use crate::resources::Allocatable;

/// A taint that the node registers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// As in `node-role.kubernetes.io/control-plane`.
    pub key: String,
    /// May be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A node as a value: everything of it that differs from node to node.
#[derive(Clone, Debug)]
pub struct KubeletConfig {
    /// The node's name.
    pub node_name: String,
    /// What the node calls itself (`hostNetwork` pods see it).
    pub hostname: String,
    /// `status.addresses`, InternalIP.
    pub node_ip: IpAddr,
    /// Where the kubelet's server listens, on the node's address.
    pub port: u16,
    /// Where pods' directories are.
    pub root_dir: PathBuf,
    /// Where pods' logs are.
    pub log_dir: PathBuf,
    /// Where seccomp profiles of type Localhost are.
    pub seccomp_dir: PathBuf,
    /// The node's network namespace, where it isn't the process's own.
    pub netns: Option<PathBuf>,
    /// What the node has.
    pub capacity: Allocatable,
    /// What pods may use of it.
    pub allocatable: Allocatable,
    /// Labels besides the well-known ones.
    pub labels: BTreeMap<String, String>,
    /// Taints to register with.
    pub taints: Vec<Taint>,
    /// DNS for pods.
    pub dns: DnsConfig,
    /// Limit of processes of a container; none is unlimited.
    pub pod_pids_max: Option<i64>,
    /// Machine's id, kernel and the like (`status.nodeInfo`).
    pub machine: Machine,
}

/// `status.nodeInfo`.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `uname -r`.
    pub kernel_version: String,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub os_image: String,
    /// As in `amd64`.
    pub architecture: String,
}

impl Machine {
    /// This machine.
    pub fn read() -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let os_image = read("/etc/os-release")
            .lines()
            .find_map(|line| Some(line.strip_prefix("PRETTY_NAME=")?.trim_matches('"').to_owned()))
            .unwrap_or_else(|| "Linux".into());
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Machine {
            machine_id: read("/etc/machine-id"),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            kernel_version: read("/proc/sys/kernel/osrelease"),
            os_image,
            architecture: architecture.into(),
        }
    }
}
