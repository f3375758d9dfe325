//! What a container's process may do.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The capabilities of a container that asks for nothing, as containerd's and docker's defaults have them.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Paths hidden from containers with `procMount: Default`.
pub const DEFAULT_MASKED_PATHS: [&str; 13] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    "/sys/devices/system/cpu/cpu0/thermal_throttle",
];

/// Paths that are read-only in containers with `procMount: Default`.
pub const DEFAULT_READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Which system calls a container may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompProfile {
    /// All.
    #[default]
    Unconfined,
    /// The runtime's list, which follows docker's and containerd's.
    RuntimeDefault,
    /// A profile in the OCI's JSON form, by absolute path.
    Localhost(PathBuf),
}

/// Whether groups of the image count (KEP-3619).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupplementalGroupsPolicy {
    /// The user's groups in the image's `/etc/group` are added.
    #[default]
    Merge,
    /// Only the groups given.
    Strict,
}

/// Who a container's process is and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityContext {
    /// User id; `None`: the image's user.
    pub run_as_user: Option<i64>,
    /// Group id; `None`: the user's group in the image's `/etc/passwd`, else 0.
    pub run_as_group: Option<i64>,
    /// User name, looked up in the image; used if `run_as_user` is `None`.
    pub run_as_username: Option<String>,
    /// Further groups.
    pub supplemental_groups: Vec<i64>,
    /// Whether the image's groups are added to them.
    pub supplemental_groups_policy: SupplementalGroupsPolicy,
    /// All capabilities, all devices, nothing masked or read-only, no seccomp.
    pub privileged: bool,
    /// Capabilities to add, without `CAP_`; `ALL` is all.
    pub capabilities_add: Vec<String>,
    /// Capabilities to drop, without `CAP_`; `ALL` is all.
    pub capabilities_drop: Vec<String>,
    /// The process and its children can't gain privileges (`allowPrivilegeEscalation: false`).
    pub no_new_privs: bool,
    /// The image's file system is read-only.
    pub readonly_rootfs: bool,
    /// Seccomp profile; ignored if privileged.
    pub seccomp: SeccompProfile,
    /// Paths to hide; ignored if privileged.
    pub masked_paths: Vec<String>,
    /// Paths to make read-only; ignored if privileged.
    pub readonly_paths: Vec<String>,
}

impl Default for SecurityContext {
    /// The defaults of a container that asks for nothing: `procMount: Default`, the image's user.
    fn default() -> Self {
        SecurityContext {
            run_as_user: None,
            run_as_group: None,
            run_as_username: None,
            supplemental_groups: Vec::new(),
            supplemental_groups_policy: SupplementalGroupsPolicy::default(),
            privileged: false,
            capabilities_add: Vec::new(),
            capabilities_drop: Vec::new(),
            no_new_privs: false,
            readonly_rootfs: false,
            seccomp: SeccompProfile::default(),
            masked_paths: DEFAULT_MASKED_PATHS.map(str::to_owned).to_vec(),
            readonly_paths: DEFAULT_READONLY_PATHS.map(str::to_owned).to_vec(),
        }
    }
}
