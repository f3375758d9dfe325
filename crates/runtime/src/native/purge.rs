//! Taking back what a node's runtime made in the kernel.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cox_sys::cgroup::{Cgroup, Hierarchy};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::records::SANDBOX_FILE;
use super::{NativeRuntime, cgroup_error};
use crate::types::RuntimeConfig;
use crate::{Result, RuntimeError};

const MOUNTINFO: &str = "/proc/self/mountinfo";

impl NativeRuntime {
    /// Removes what a node's runtime made in the kernel: its cgroups, with processes that a crash left there, and
    /// mounts below its pods' directories. For a node that is being removed and whose runtime isn't open. What is
    /// gone already counts as done. Blocks for some milliseconds, or for seconds where processes resist.
    ///
    /// An error while sandboxes are left, which have to be [removed](crate::Runtime::remove_sandbox) before, and if
    /// this process itself is in one of the cgroups.
    pub fn purge_kernel(config: &RuntimeConfig) -> Result<()> {
        let pods = config.state_dir.join("pods");
        let left = sandboxes(&pods)?;
        if left > 0 {
            return Err(RuntimeError::WrongState(format!("{left} sandboxes are left in {}", pods.display())));
        }
        unmount_below(&pods)?;
        let hierarchy = Arc::new(Hierarchy::detect().map_err(cgroup_error)?);
        let group = Cgroup::new(hierarchy, &config.cgroup_root).map_err(cgroup_error)?;
        if group.processes().map_err(cgroup_error)?.contains(&std::process::id()) {
            let message = format!("this process is in the cgroup {:?}, which can't be removed", group.name());
            return Err(RuntimeError::WrongState(message));
        }
        group.kill_all().and_then(|()| group.remove()).map_err(cgroup_error)
    }
}

/// How many sandboxes there are.
fn sandboxes(pods: &Path) -> Result<usize> {
    match fs::read_dir(pods) {
        Ok(entries) => Ok(entries.flatten().filter(|entry| entry.path().join(SANDBOX_FILE).exists()).count()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(RuntimeError::file("list", pods)(e)),
    }
}

/// Only below the pods' directories: a mount elsewhere in the state directory is the administrator's.
fn unmount_below(pods: &Path) -> Result<()> {
    // The kernel names mounts by their real paths. Below a directory that doesn't exist there are none.
    let Ok(pods) = pods.canonicalize() else { return Ok(()) };
    let text = fs::read(MOUNTINFO).map_err(RuntimeError::file("read", MOUNTINFO))?;
    // Children come after their parents.
    for path in mount_points(&text).iter().rev().filter(|path| **path != pods && path.starts_with(&pods)) {
        match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // It was hidden below another one and went with it.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(e) => return Err(RuntimeError::file("unmount", path)(e.into())),
        }
    }
    Ok(())
}

/// The fifth field of each line, in which blanks and backslashes are octal numbers.
fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    let fields = mountinfo.split(|b| *b == b'\n').filter_map(|line| line.split(|b| *b == b' ').nth(4));
    fields.map(|field| PathBuf::from(OsString::from_vec(unescape(field)))).collect()
}

fn unescape(mut field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    while let [first, rest @ ..] = field {
        match field {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                text.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                field = rest;
            }
            _ => {
                text.push(*first);
                field = rest;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_the_kernel_writes_them() {
        let text = b"36 35 98:0 /mnt1 /mnt/a\\040b\\134c rw,noatime master:1 - ext3 /dev/root rw\n\
                     37 36 0:26 / / rw - tmpfs tmpfs rw\n";
        assert_eq!(mount_points(text), [Path::new("/mnt/a b\\c"), Path::new("/")]);
        assert_eq!(unescape(br"\09\"), br"\09\");
    }
}
