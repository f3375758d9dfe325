//! What goes in and out of a runtime.

mod container;
mod event;
mod id;
mod image;
mod node;
mod resources;
mod sandbox;
mod security;
mod signal;
mod stats;
mod streams;

pub use container::{
    ContainerConfig, ContainerState, ContainerStatus, ContainerUser, Device, Mount, Propagation,
};
pub use event::RuntimeEvent;
pub use id::{ContainerId, SandboxId};
pub use image::{ImageConfig, ImageInfo, RegistryAuth};
pub use node::{RuntimeConfig, RuntimeInfo};
pub use resources::Resources;
pub use sandbox::{IdMapping, NetworkNamespace, SandboxConfig, SandboxState, SandboxStatus};
pub use security::{
    DEFAULT_CAPABILITIES, DEFAULT_MASKED_PATHS, DEFAULT_READONLY_PATHS, SeccompProfile, SecurityContext,
    SupplementalGroupsPolicy,
};
pub use signal::Signal;
pub use stats::{ContainerStats, CpuUsage, FsUsage, MemoryUsage, SandboxStats};
pub use streams::{
    EXEC_SYNC_OUTPUT_BYTES_MAX, ExecSyncResult, InputStream, OutputStream, StreamOptions, Streams,
    TerminalSize,
};
