//! Finding and making places to mount things on, inside the container's root.
//!
//! The root has been changed by then, so no path can lead out of the container by symbolic links. Links of `/proc`
//! that jump (`/proc/self/fd/N`, `/proc/1/root`) are not followed.

use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, mkdirat, openat2};
use rustix::io::Errno;

use super::error::Context;

/// Who owns what is made: the host's ids that are root inside.
#[derive(Clone, Copy)]
pub struct Owner {
    /// User id on the host.
    pub uid: u32,
    /// Group id on the host.
    pub gid: u32,
}

impl Owner {
    pub fn uid(self) -> Uid {
        Uid::from_raw(self.uid)
    }

    pub fn gid(self) -> Gid {
        Gid::from_raw(self.gid)
    }
}

/// Opens a place without the right to read it (`O_PATH`), following ordinary symbolic links.
pub fn open(path: &Path) -> Result<OwnedFd, Errno> {
    openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
}

/// Opens a directory, made with its parents if it is missing.
pub fn directory(path: &Path, owner: Owner) -> Result<OwnedFd, String> {
    match open(path) {
        Err(Errno::NOENT) => {}
        other => return other.context(|| format!("open {path:?}")),
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return open(path).context(|| format!("open {path:?}"));
    };
    let parent = directory(parent, owner)?;
    match mkdirat(&parent, name, Mode::from(0o755)) {
        Ok(()) => chownat(&parent, name, Some(owner.uid()), Some(owner.gid()), AtFlags::SYMLINK_NOFOLLOW)
            .context(|| format!("chown {path:?}"))?,
        // Made by someone else just now, or a symbolic link to nowhere, which opening it will tell.
        Err(Errno::EXIST) => {}
        Err(e) => return Err(e).context(|| format!("mkdir {path:?}")),
    }
    open(path).context(|| format!("open {path:?}"))
}

/// Opens a file, made empty with its parents if it is missing.
pub fn file(path: &Path, owner: Owner) -> Result<OwnedFd, String> {
    match open(path) {
        Err(Errno::NOENT) => {}
        other => return other.context(|| format!("open {path:?}")),
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(format!("{path:?} is no name of a file"));
    };
    let parent = directory(parent, owner)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    match rustix::fs::openat(&parent, name, flags, Mode::from(0o755)) {
        Ok(file) => rustix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))
            .context(|| format!("chown {path:?}"))?,
        Err(Errno::EXIST) => {}
        Err(e) => return Err(e).context(|| format!("create {path:?}")),
    }
    open(path).context(|| format!("open {path:?}"))
}
