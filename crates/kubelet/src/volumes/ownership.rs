//! `fsGroup`: the group that owns what is in a volume.
//! Source: <https://kubernetes.io/docs/tasks/configure-pod-container/security-context/>

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

/// Gives a directory and what is in it to a group, writable for it unless `read_only`; new files inherit it.
pub(crate) fn set_group(path: &Path, group: Option<i64>, read_only: bool) -> io::Result<()> {
    let Some(group) = group else { return Ok(()) };
    let metadata = path.symlink_metadata()?;
    if metadata.is_symlink() {
        return Ok(());
    }
    chown_group(path, group)?;
    let bits = if read_only { 0o440 } else { 0o660 };
    let mut mode = metadata.mode() & 0o7777 | bits;
    if metadata.is_dir() {
        mode |= 0o2110;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            set_group(&entry?.path(), Some(group), read_only)?;
        }
    }
    Ok(())
}

/// Changes the group only.
pub(crate) fn chown_group(path: &Path, group: i64) -> io::Result<()> {
    let group = u32::try_from(group)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "fsGroup is not a group id"))?;
    chown(path, None, Some(group))
}
