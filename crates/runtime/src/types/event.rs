//! What happens without being asked for.

use jiff::Timestamp;

use super::{ContainerId, SandboxId};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// A container's process runs.
    ContainerStarted {
        /// Its sandbox.
        sandbox: SandboxId,
        /// The container.
        container: ContainerId,
    },
    /// A container's process is gone.
    ContainerExited {
        /// Its sandbox.
        sandbox: SandboxId,
        /// The container.
        container: ContainerId,
        /// Exit code, 128 + signal if a signal ended it.
        exit_code: i32,
        /// The kernel killed something in it for want of memory.
        oom_killed: bool,
        /// When.
        finished_at: Timestamp,
    },
    /// The supervisor of a sandbox is gone without being asked to go; its containers are gone with it.
    SandboxGone {
        /// The sandbox.
        sandbox: SandboxId,
    },
    /// Some events were lost to this receiver: list again.
    Missed,
}
