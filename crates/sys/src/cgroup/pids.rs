//! Number of processes.

use super::{Cgroup, Limits, Result, Usage};

pub(super) fn set(group: &Cgroup, limits: &Limits) -> Result<()> {
    match limits.pids_max {
        None => Ok(()),
        Some(max) if max < 0 => group.write("pids", "pids.max", "max"),
        Some(max) => group.write("pids", "pids.max", &max.to_string()),
    }
}

pub(super) fn usage(group: &Cgroup, usage: &mut Usage) -> Result<()> {
    usage.pids = group.read_number("pids", "pids.current")?.unwrap_or(0);
    Ok(())
}
