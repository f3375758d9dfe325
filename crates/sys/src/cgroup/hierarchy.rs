//! Where the cgroup tree is mounted and which version it is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Error, Result};

/// Version of the cgroup interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy per controller; also a hybrid machine.
    V1,
    /// One hierarchy.
    V2,
}

/// The mounted tree.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    version: Version,
    /// On version 1 by controller; on version 2 only the empty name.
    mounts: BTreeMap<String, PathBuf>,
}

/// The controllers a group of ours is in on version 1. Each costs a directory per group, so those without limits
/// of ours (blkio, freezer) are left out, and cpuset is entered only where it is asked for.
const USED_V1: [&str; 5] = ["cpu", "cpuacct", "devices", "memory", "pids"];

/// The controllers passed on to children on version 2, where the kernel has them.
const USED_V2: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];

impl Hierarchy {
    /// Looks where it is mounted. On a hybrid machine version 1 counts, since the controllers are there.
    pub fn detect() -> Result<Self> {
        let path = PathBuf::from("/proc/self/mountinfo");
        let text = fs::read_to_string(&path).map_err(|source| Error::File { what: "read", path, source })?;
        Self::from_mountinfo(&text)
    }

    fn from_mountinfo(text: &str) -> Result<Self> {
        let mut v1 = BTreeMap::new();
        let mut v2 = None;
        for line in text.lines() {
            // ID parent major:minor root mountpoint options [tags] - type source super-options
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let Some(mount_point) = left.split(' ').nth(4) else { continue };
            let mut right = right.split(' ');
            match right.next() {
                Some("cgroup2") => {
                    v2.get_or_insert_with(|| PathBuf::from(mount_point));
                }
                Some("cgroup") => {
                    for option in right.nth(1).unwrap_or_default().split(',') {
                        v1.entry(option.to_owned()).or_insert_with(|| PathBuf::from(mount_point));
                    }
                }
                _ => {}
            }
        }
        if v1.contains_key("memory") {
            for needed in USED_V1 {
                if !v1.contains_key(needed) {
                    return Err(Error::Unsupported(format!("cgroup controller {needed:?} is not mounted")));
                }
            }
            v1.retain(|name, _| USED_V1.contains(&name.as_str()) || name == "cpuset");
            return Ok(Hierarchy { version: Version::V1, mounts: v1 });
        }
        match v2 {
            Some(mount) => Ok(Self::v2_at(mount)),
            None => Err(Error::Unsupported("no cgroup file system is mounted".to_owned())),
        }
    }

    /// A tree of version 2 mounted at `mount`.
    pub fn v2_at(mount: impl Into<PathBuf>) -> Self {
        Hierarchy { version: Version::V2, mounts: BTreeMap::from([(String::new(), mount.into())]) }
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    pub(super) fn mount_of(&self, controller: &str) -> Option<&Path> {
        match self.version {
            Version::V1 => self.mounts.get(controller).map(PathBuf::as_path),
            Version::V2 => self.mounts.get("").map(PathBuf::as_path),
        }
    }

    /// The hierarchies every group of ours is in, each once (controllers can be mounted together).
    pub(super) fn mounts(&self) -> impl Iterator<Item = &Path> {
        let mut seen: Vec<&Path> = Vec::new();
        for (controller, mount) in &self.mounts {
            if controller != "cpuset" && !seen.contains(&mount.as_path()) {
                seen.push(mount);
            }
        }
        seen.into_iter()
    }

    /// Makes a group of version 2 with its parents, and hands the controllers down to it.
    pub(super) fn create_v2(&self, name: &str) -> Result<()> {
        let mut dir = self.mounts[""].clone();
        if dir.join(name).is_dir() {
            return Ok(());
        }
        let parts: Vec<&str> = name.split('/').collect();
        for part in parts {
            hand_down(&dir)?;
            dir.push(part);
            match fs::create_dir(&dir) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(Error::File { what: "create", path: dir, source }),
            }
        }
        Ok(())
    }
}

/// Gives the children of `dir` every controller it has that we use.
fn hand_down(dir: &Path) -> Result<()> {
    let read = |file: &str| {
        let path = dir.join(file);
        fs::read_to_string(&path).map_err(|source| Error::File { what: "read", path, source })
    };
    let (available, enabled) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
    let has = |list: &str, name: &str| list.split_whitespace().any(|c| c == name);
    for controller in USED_V2 {
        if has(&available, controller) && !has(&enabled, controller) {
            super::write_file(&dir.join("cgroup.subtree_control"), &format!("+{controller}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
34 30 0:30 / /sys/fs/cgroup/memory rw shared:4 - cgroup cgroup rw,memory
35 30 0:31 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
38 30 0:34 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
40 30 0:36 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn a_hybrid_machine_is_version_1() {
        let hierarchy = Hierarchy::from_mountinfo(HYBRID).unwrap();
        assert_eq!(hierarchy.version(), Version::V1);
        assert_eq!(hierarchy.mount_of("memory"), Some(Path::new("/sys/fs/cgroup/memory")));
        assert_eq!(hierarchy.mount_of("cpuacct"), hierarchy.mount_of("cpu"));
        // cpu and cpuacct together, devices, memory, pids; not cpuset.
        assert_eq!(hierarchy.mounts().count(), 4);
    }

    #[test]
    fn one_mount_is_version_2_and_none_is_refused() {
        let hierarchy =
            Hierarchy::from_mountinfo("30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n").unwrap();
        assert_eq!(hierarchy.version(), Version::V2);
        assert_eq!(hierarchy.mounts().collect::<Vec<_>>(), [Path::new("/sys/fs/cgroup")]);
        assert!(Hierarchy::from_mountinfo("1 1 0:1 / / rw - ext4 /dev/vda rw\n").is_err());
    }

    #[test]
    fn a_missing_controller_is_named() {
        let text = HYBRID.replace("rw,pids", "rw,other");
        let error = Hierarchy::from_mountinfo(&text).unwrap_err().to_string();
        assert_eq!(error, "cgroup controller \"pids\" is not mounted");
    }
}
