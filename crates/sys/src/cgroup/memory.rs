//! Memory: limit, usage, kills for want of it.

use std::path::PathBuf;

use super::{Cgroup, Error, Limits, Result, Usage, Version, value_of};

/// Version 1 reports "no limit" as the greatest multiple of a page; anything in this region is none.
const NO_LIMIT_V1: u64 = 1 << 62;

pub(super) fn set(group: &Cgroup, limits: &Limits) -> Result<()> {
    let Some(limit) = limits.memory_limit_bytes else { return Ok(()) };
    match group.hierarchy.version() {
        Version::V1 => {
            let value = limit.max(-1).to_string();
            let swap = group.dir("memory").is_some_and(|d| d.join("memory.memsw.limit_in_bytes").exists());
            // Memory may never exceed memory plus swap: lowering starts with memory, raising with the sum.
            match group.write("memory", "memory.limit_in_bytes", &value) {
                Ok(()) if swap => group.write("memory", "memory.memsw.limit_in_bytes", &value),
                Err(Error::Write { source, .. }) if swap && source.raw_os_error() == Some(libc::EINVAL) => {
                    group.write("memory", "memory.memsw.limit_in_bytes", &value)?;
                    group.write("memory", "memory.limit_in_bytes", &value)
                }
                other => other,
            }
        }
        Version::V2 => {
            let value = if limit < 0 { "max".to_owned() } else { limit.to_string() };
            group.write("memory", "memory.max", &value)?;
            if limit >= 0 && group.dir("memory").is_some_and(|d| d.join("memory.swap.max").exists()) {
                group.write("memory", "memory.swap.max", "0")?;
            }
            Ok(())
        }
    }
}

pub(super) fn usage(group: &Cgroup, usage: &mut Usage) -> Result<()> {
    let stat = group.read("memory", "memory.stat")?.unwrap_or_default();
    let stat = |key: &str| value_of(&stat, key).unwrap_or(0);
    let inactive_file;
    match group.hierarchy.version() {
        Version::V1 => {
            usage.memory_bytes = group.read_number("memory", "memory.usage_in_bytes")?.unwrap_or(0);
            inactive_file = stat("total_inactive_file");
            usage.memory_anonymous_bytes = stat("total_rss");
            usage.page_faults = stat("total_pgfault");
            usage.major_page_faults = stat("total_pgmajfault");
            usage.memory_limit_bytes =
                group.read_number("memory", "memory.limit_in_bytes")?.filter(|limit| *limit < NO_LIMIT_V1);
        }
        Version::V2 => {
            usage.memory_bytes = group.read_number("memory", "memory.current")?.unwrap_or(0);
            inactive_file = stat("inactive_file");
            usage.memory_anonymous_bytes = stat("anon");
            usage.page_faults = stat("pgfault");
            usage.major_page_faults = stat("pgmajfault");
            usage.memory_limit_bytes = group.read_number("memory", "memory.max")?;
        }
    }
    usage.memory_working_set_bytes = usage.memory_bytes.saturating_sub(inactive_file);
    Ok(())
}

pub(super) fn oom_file(group: &Cgroup) -> Option<PathBuf> {
    let file = match group.hierarchy.version() {
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    };
    Some(group.dir("memory")?.join(file))
}
