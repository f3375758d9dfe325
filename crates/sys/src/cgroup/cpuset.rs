//! Which CPUs and memory nodes.

use super::{Cgroup, Limits, Result, Version, make_dirs};

pub(super) fn set(group: &Cgroup, limits: &Limits) -> Result<()> {
    if limits.cpuset_cpus.is_none() && limits.cpuset_mems.is_none() {
        return Ok(());
    }
    if group.hierarchy.version() == Version::V1 {
        prepare_v1(group)?;
    }
    if let Some(cpus) = &limits.cpuset_cpus {
        group.write("cpuset", "cpuset.cpus", cpus)?;
    }
    if let Some(mems) = &limits.cpuset_mems {
        group.write("cpuset", "cpuset.mems", mems)?;
    }
    Ok(())
}

/// On version 1 a new group has no CPUs and takes no processes: each level starts with its parent's.
fn prepare_v1(group: &Cgroup) -> Result<()> {
    let Some(mount) = group.hierarchy.mount_of("cpuset") else { return Ok(()) };
    make_dirs(mount, &group.name)?;
    let mut parent = mount.to_owned();
    for part in group.name.split('/') {
        let dir = parent.join(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let read = |dir: &std::path::Path| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
            if read(&dir).trim().is_empty() {
                super::write_file(&dir.join(file), read(&parent).trim())?;
            }
        }
        parent = dir;
    }
    Ok(())
}
