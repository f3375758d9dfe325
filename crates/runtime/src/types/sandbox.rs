//! Sandboxes: what the containers of a pod share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Resources, SandboxId};

/// The network namespace of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkNamespace {
    /// The node's own (`hostNetwork: true`).
    #[default]
    Host,
    /// One that exists and is bound at this path.
    Path(PathBuf),
    /// One to be made, owned by the pod's user namespace (which matters for binding to low ports), and bound at
    /// this path before `run_sandbox` returns. The caller unmounts and removes the path after `stop_sandbox`.
    Create(PathBuf),
}

/// A range of ids of the host that a pod's ids 0 to `size - 1` are (KEP-127).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMapping {
    /// The host's user id that is 0 inside.
    pub host_uid_base: u32,
    /// The host's group id that is 0 inside.
    pub host_gid_base: u32,
    /// Number of ids, for instance 65536.
    pub size: u32,
}

/// What a sandbox should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxConfig {
    /// The pod's name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's uid.
    pub uid: String,
    /// How often a sandbox was made for this pod before.
    pub attempt: u32,
    /// Host name inside; ignored with the host's network namespace.
    pub hostname: String,
    /// Network namespace.
    pub network: NetworkNamespace,
    /// Containers see the host's processes.
    pub host_pid: bool,
    /// Containers share the host's System V IPC and POSIX message queues.
    pub host_ipc: bool,
    /// The pod's containers see each other's processes.
    pub share_process_namespace: bool,
    /// The pod's user namespace (`hostUsers: false`).
    pub user_namespace: Option<IdMapping>,
    /// The pod's cgroup below the node's cgroup root, for instance `kubepods/burstable/pod<uid>`; made if
    /// missing and removed with the sandbox.
    pub cgroup_parent: String,
    /// Limits of the pod's cgroup.
    pub resources: Resources,
    /// Kernel parameters, only those that belong to the pod's own namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Directory of the pod's logs; containers' log paths are relative to it.
    pub log_dir: PathBuf,
    /// Labels, kept and given back.
    pub labels: BTreeMap<String, String>,
    /// Annotations, kept and given back.
    pub annotations: BTreeMap<String, String>,
}

/// Whether a sandbox can take containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxState {
    /// Its supervisor runs.
    Ready,
    /// It was stopped or its supervisor is gone.
    NotReady,
}

/// What a sandbox is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxStatus {
    /// Its id.
    pub id: SandboxId,
    /// What it was asked to be.
    pub config: SandboxConfig,
    /// Whether it can take containers.
    pub state: SandboxState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Process id of the supervisor on the host, while ready.
    pub supervisor_pid: Option<u32>,
}
