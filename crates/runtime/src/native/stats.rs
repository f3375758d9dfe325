//! What pods and containers use.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cox_sys::cgroup::Usage;
use jiff::Timestamp;

use super::{Inner, blocking, cgroup_error};
use crate::Result;
use crate::types::*;

impl Inner {
    pub(super) async fn container_stats(&self, id: &ContainerId) -> Result<ContainerStats> {
        let (sandbox, container) = self.container(id)?;
        let group = self.container_cgroup(&sandbox, id)?;
        let upper = container.dir.join("upper");
        blocking(move || {
            let usage = group.usage().map_err(cgroup_error)?;
            let mut writable_layer = FsUsage::default();
            disk_usage(&upper, &mut writable_layer);
            Ok(ContainerStats {
                timestamp: Timestamp::now(),
                cpu: CpuUsage { usage_core_ns: usage.cpu_ns },
                memory: memory(&usage),
                pids: usage.pids,
                writable_layer,
            })
        })
        .await
    }

    pub(super) async fn sandbox_stats(&self, id: &SandboxId) -> Result<SandboxStats> {
        let sandbox = self.sandbox(id)?;
        let group = self.pod_cgroup(id, &sandbox.record.config)?;
        blocking(move || {
            let usage = group.usage().map_err(cgroup_error)?;
            Ok(SandboxStats {
                timestamp: Timestamp::now(),
                cpu: CpuUsage { usage_core_ns: usage.cpu_ns },
                memory: memory(&usage),
                pids: usage.pids,
            })
        })
        .await
    }
}

fn memory(usage: &Usage) -> MemoryUsage {
    MemoryUsage {
        usage_bytes: usage.memory_bytes,
        working_set_bytes: usage.memory_working_set_bytes,
        rss_bytes: usage.memory_anonymous_bytes,
        limit_bytes: usage.memory_limit_bytes,
        page_faults: usage.page_faults,
        major_page_faults: usage.major_page_faults,
    }
}

/// Counts what a directory takes on disk. Files that vanish meanwhile don't count.
fn disk_usage(dir: &Path, usage: &mut FsUsage) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        usage.used_bytes += metadata.blocks() * 512;
        usage.inodes_used += 1;
        if metadata.is_dir() {
            disk_usage(&entry.path(), usage);
        }
    }
}
