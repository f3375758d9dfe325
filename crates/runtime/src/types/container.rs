//! Containers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ContainerId, Resources, SandboxId, SecurityContext, Signal};

/// Which later mounts are seen across a mount (`mountPropagation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// None either way.
    #[default]
    None,
    /// The host's mounts below it appear in the container.
    HostToContainer,
    /// And the container's on the host. Only for privileged containers.
    Bidirectional,
}

/// A directory or file of the host in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Where it is on the host. It has to exist.
    pub host_path: PathBuf,
    /// A path below `host_path` to mount in place of it (`subPath`, `subPathExpr`): opened without leaving
    /// `host_path`, whatever symbolic links the volume has. It has to exist.
    pub sub_path: Option<PathBuf>,
    /// Where the container sees it.
    pub container_path: PathBuf,
    /// Read-only.
    pub readonly: bool,
    /// Read-only with every mount below it (`recursiveReadOnly`).
    pub recursive_readonly: bool,
    /// Propagation.
    pub propagation: Propagation,
    /// In a pod with a user namespace: ids in the volume are those inside the pod (an idmapped mount with the
    /// sandbox's mapping), as upstream does for all volumes but hostPath on file systems that can't.
    pub id_mapped: bool,
}

/// A device of the host in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// The device's path on the host.
    pub host_path: PathBuf,
    /// Its path in the container.
    pub container_path: PathBuf,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}

/// What a container should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    /// The container's name in the pod.
    pub name: String,
    /// How often this container was made in this pod before.
    pub attempt: u32,
    /// The image: any reference or id that is present.
    pub image: String,
    /// What the pod's spec calls the image, given back in the status.
    pub user_specified_image: String,
    /// Replaces the image's entrypoint (`command`). Then the image's own arguments don't count.
    pub command: Vec<String>,
    /// Replaces the image's arguments (`args`).
    pub args: Vec<String>,
    /// Working directory; `None`: the image's, else `/`. Made if missing.
    pub working_dir: Option<String>,
    /// Environment, over the image's; of equal names the last counts.
    pub envs: Vec<(String, String)>,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Devices.
    pub devices: Vec<Device>,
    /// Limits.
    pub resources: Resources,
    /// User, capabilities and so on.
    pub security: SecurityContext,
    /// Give it a terminal.
    pub tty: bool,
    /// Keep its standard input open for attach.
    pub stdin: bool,
    /// Close its standard input when the first attached client's ends.
    pub stdin_once: bool,
    /// Log file relative to the sandbox's log directory; `None`: output is not kept.
    pub log_path: Option<PathBuf>,
    /// Stop signal; `None`: the image's, else `SIGTERM`.
    pub stop_signal: Option<Signal>,
    /// Preference of the out-of-memory killer, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Labels, kept and given back.
    pub labels: BTreeMap<String, String>,
    /// Annotations, kept and given back.
    pub annotations: BTreeMap<String, String>,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Ready to start.
    Created,
    /// Its process runs.
    Running,
    /// Its process is gone.
    Exited,
    /// Nothing is known: its supervisor was lost before it reported the end.
    Unknown,
}

/// Who a container's first process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerUser {
    /// User id inside.
    pub uid: i64,
    /// Group id inside.
    pub gid: i64,
    /// Further groups inside.
    pub supplemental_groups: Vec<i64>,
}

/// What a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// Its id.
    pub id: ContainerId,
    /// Its sandbox.
    pub sandbox: SandboxId,
    /// What it was asked to be.
    pub config: ContainerConfig,
    /// Where it is in its life.
    pub state: ContainerState,
    /// Process id on the host, while running.
    pub pid: Option<u32>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its process was started.
    pub started_at: Option<Timestamp>,
    /// When its process was found gone.
    pub finished_at: Option<Timestamp>,
    /// Exit code once it has exited; 128 + signal if a signal ended it; 128 if it couldn't be started.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<Signal>,
    /// Once exited: `Completed`, `Error`, `OOMKilled`, `StartError` (or `ContainerStatusUnknown`).
    pub reason: String,
    /// More about it, for people.
    pub message: String,
    /// Id of the image.
    pub image_id: String,
    /// A reference of the image with digest where known, as `imageID` of a pod's status has it.
    pub image_ref: String,
    /// Absolute path of the log file.
    pub log_path: Option<PathBuf>,
    /// Who it runs as.
    pub user: Option<ContainerUser>,
}
