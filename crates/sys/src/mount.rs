//! Mounts as file descriptors: detached trees with attributes and translated ids.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

/// Which mounts a change of attributes reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The mount alone.
    One,
    /// And all below it.
    Recursive,
}

/// How mounts propagate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the peers to here.
    Slave,
    /// Both ways.
    Shared,
}

/// What to change about a mount; the default changes nothing.
#[derive(Clone, Copy, Default)]
pub struct Change<'a> {
    /// Attributes to set, of `MOUNT_ATTR_*`, for instance [`READONLY`].
    pub set: u64,
    /// Attributes to clear.
    pub clear: u64,
    /// Propagation.
    pub propagation: Option<Propagation>,
    /// Translate ids by this user namespace's map. Only for detached mounts whose file system can.
    pub idmap: Option<BorrowedFd<'a>>,
}

/// `MOUNT_ATTR_RDONLY`.
pub const READONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// `MOUNT_ATTR_NOSUID`.
pub const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
/// `MOUNT_ATTR_NODEV`.
pub const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
/// `MOUNT_ATTR_NOEXEC`.
pub const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// Changes the mount that `mount` (a detached tree or any open directory of it) belongs to.
pub fn set_attributes(mount: BorrowedFd<'_>, reach: Reach, change: &Change<'_>) -> io::Result<()> {
    set_at(mount.as_raw_fd(), c"", libc::AT_EMPTY_PATH, reach, change)
}

/// Changes the mount at a path.
pub fn set_attributes_at(path: &Path, reach: Reach, change: &Change<'_>) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    set_at(libc::AT_FDCWD, &path, 0, reach, change)
}

fn set_at(fd: i32, path: &std::ffi::CStr, flags: i32, reach: Reach, change: &Change<'_>) -> io::Result<()> {
    let mut attr = libc::mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: match change.propagation {
            None => 0,
            Some(Propagation::Private) => libc::MS_PRIVATE,
            Some(Propagation::Slave) => libc::MS_SLAVE,
            Some(Propagation::Shared) => libc::MS_SHARED,
        },
        userns_fd: 0,
    };
    if let Some(user_namespace) = change.idmap {
        attr.attr_set |= libc::MOUNT_ATTR_IDMAP;
        attr.userns_fd = user_namespace.as_raw_fd() as u64;
    }
    let flags = flags | if reach == Reach::Recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `path` is a C string, `attr` an initialised struct of the size given; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd,
            path.as_ptr(),
            flags,
            &attr,
            std::mem::size_of::<libc::mount_attr>(),
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A detached copy of the mount at `of` (any open file or directory), which becomes its root.
pub fn clone_tree(of: BorrowedFd<'_>, reach: Reach) -> io::Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if reach == Reach::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(open_tree(of, c"", flags)?)
}

/// Puts a detached mount over the open file or directory `target`.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, c"", target, c"", flags)?)
}

/// A new file system as a detached mount. An option without value is a flag. `attributes` of `MOUNT_ATTR_*`.
pub fn new_filesystem(kind: &str, options: &[(&str, &str)], attributes: u64) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        match *value {
            "" => fsconfig_set_flag(&context, *key)?,
            value => fsconfig_set_string(&context, *key, value)?,
        }
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::from_bits_retain(attributes as u32);
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}
