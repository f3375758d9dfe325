//! The mounts that volumes need on the node itself.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Whether something is mounted at `path`.
pub(crate) fn is_mount_point(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let here = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    let parent = std::fs::metadata(path.parent().unwrap_or(path))?;
    Ok(here.dev() != parent.dev())
}

/// Mounts a tmpfs, limited to `bytes` if given.
pub(crate) fn mount_tmpfs(path: &Path, bytes: Option<i64>) -> io::Result<()> {
    let size = bytes.map(|bytes| bytes.to_string());
    let mut options = vec![("mode", "1777")];
    if let Some(size) = &size {
        options.push(("size", size));
    }
    let mount =
        cox_sys::mount::new_filesystem("tmpfs", &options, cox_sys::mount::NOSUID | cox_sys::mount::NODEV)?;
    let target = std::fs::File::open(path)?;
    cox_sys::mount::attach(mount.as_fd(), target.as_fd())
}

/// Unmounts, also while something in it is still open.
pub(crate) fn unmount(path: &Path) -> io::Result<()> {
    rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH)?;
    Ok(())
}
