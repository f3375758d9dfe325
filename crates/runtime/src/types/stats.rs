//! What is used.

use jiff::Timestamp;

/// CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuUsage {
    /// All CPU time so far, in nanoseconds.
    pub usage_core_ns: u64,
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// All memory charged, page cache included.
    pub usage_bytes: u64,
    /// Without the page cache that can be dropped at once: what eviction and `kubectl top` look at.
    pub working_set_bytes: u64,
    /// Anonymous memory.
    pub rss_bytes: u64,
    /// The limit, if there is one.
    pub limit_bytes: Option<u64>,
    /// Page faults so far.
    pub page_faults: u64,
    /// Page faults that needed the disk, so far.
    pub major_page_faults: u64,
}

/// Space on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FsUsage {
    /// Bytes used.
    pub used_bytes: u64,
    /// Inodes used.
    pub inodes_used: u64,
}

/// What a container uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerStats {
    /// When this was read.
    pub timestamp: Timestamp,
    /// CPU.
    pub cpu: CpuUsage,
    /// Memory.
    pub memory: MemoryUsage,
    /// Processes.
    pub pids: u64,
    /// The writable layer.
    pub writable_layer: FsUsage,
}

/// What a pod uses, by its cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxStats {
    /// When this was read.
    pub timestamp: Timestamp,
    /// CPU.
    pub cpu: CpuUsage,
    /// Memory.
    pub memory: MemoryUsage,
    /// Processes.
    pub pids: u64,
}
