//! Mounts of the host's directories and files into a container.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use cox_sys::mount::{self, Change, READONLY, Reach};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::error::Context;
use super::place::{self, Owner};
use crate::protocol::{Mount, Propagation};

/// A source taken hold of while the host's files are in sight.
pub struct Source<'a> {
    tree: OwnedFd,
    directory: bool,
    mount: &'a Mount,
}

/// Takes hold of a mount's source, with its attributes set.
pub fn take<'a>(mount: &'a Mount, user_namespace: Option<BorrowedFd<'_>>) -> Result<Source<'a>, String> {
    let name = || format!("error mounting {:?} to rootfs at {:?}", mount.source, mount.target);
    let place = open_source(mount)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&place).context(name)?.st_mode);
    let tree = mount::clone_tree(place.as_fd(), Reach::Recursive).context(name)?;
    let propagation = match mount.propagation {
        Propagation::Private => mount::Propagation::Private,
        Propagation::FromHost => mount::Propagation::Slave,
        Propagation::Both => mount::Propagation::Shared,
    };
    // A copy of a shared mount is a peer of it already; saying "shared" for one that isn't would make a group of
    // its own and hide that nothing reaches the host.
    if mount.propagation != Propagation::Both {
        let change = Change { propagation: Some(propagation), ..Change::default() };
        mount::set_attributes(tree.as_fd(), Reach::Recursive, &change).context(name)?;
    }
    if mount.id_mapped
        && let Some(user_namespace) = user_namespace
    {
        let change = Change { idmap: Some(user_namespace), ..Change::default() };
        mount::set_attributes(tree.as_fd(), Reach::Recursive, &change)
            .context(|| format!("{}: this file system can't map ids", name()))?;
    }
    if mount.readonly {
        let reach = if mount.recursive_readonly { Reach::Recursive } else { Reach::One };
        let change = Change { set: READONLY, ..Change::default() };
        mount::set_attributes(tree.as_fd(), reach, &change).context(name)?;
    }
    Ok(Source { tree, directory: kind == FileType::Directory, mount })
}

/// A sub path is opened beneath its volume: a symbolic link in the volume, put there by a container, can't lead
/// out of it, whenever it appears.
fn open_source(mount: &Mount) -> Result<OwnedFd, String> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let volume = rustix::fs::open(&mount.source, flags, Mode::empty()).context(|| {
        format!("error mounting {:?} to rootfs at {:?}: stat {:?}", mount.source, mount.target, mount.source)
    })?;
    let Some(sub_path) = &mount.sub_path else { return Ok(volume) };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(&volume, sub_path, flags, Mode::empty(), resolve) {
        Err(Errno::XDEV) => Err(format!("subpath {sub_path:?} not within volume path {:?}", mount.source)),
        other => other.context(|| format!("open subpath {sub_path:?} of volume {:?}", mount.source)),
    }
}

impl Source<'_> {
    /// Puts it into the container.
    pub fn put(&self, owner: Owner) -> Result<(), String> {
        let target = Path::new("/").join(&self.mount.target);
        let place =
            if self.directory { place::directory(&target, owner) } else { place::file(&target, owner) };
        let name = || format!("error mounting {:?} to rootfs at {:?}", self.mount.source, self.mount.target);
        let place = place.map_err(|e| format!("{}: {e}", name()))?;
        refuse_proc(&place, &target)?;
        mount::attach(self.tree.as_fd(), place.as_fd()).context(name)
    }
}

/// `PROC_SUPER_MAGIC`.
const PROC_MAGIC: u64 = 0x9fa0;

/// A volume that another container can write to could redirect a mount to `/proc` by a symbolic link and so fake
/// what is read there.
fn refuse_proc(place: &OwnedFd, target: &Path) -> Result<(), String> {
    if target.starts_with("/proc") {
        return Ok(());
    }
    let file_system = rustix::fs::fstatfs(place).context(|| format!("statfs {target:?}"))?;
    if file_system.f_type as u64 == PROC_MAGIC {
        return Err(format!("{target:?} cannot be mounted because it is inside /proc"));
    }
    Ok(())
}

/// Hides paths: files behind `/dev/null`, directories behind an empty one. Missing ones are hidden enough.
pub fn mask(paths: &[String]) -> Result<(), String> {
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let name = || format!("mask {path:?}");
        let place = match place::open(Path::new(path)) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            other => other.context(name)?,
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&place).context(name)?.st_mode);
        let cover = if kind == FileType::Directory {
            match &empty {
                // One empty file system serves all: a mount that is in place can be copied.
                Some(first) => mount::clone_tree(first.as_fd(), Reach::One),
                None => mount::new_filesystem("tmpfs", &[("size", "0"), ("nr_inodes", "2")], READONLY),
            }
        } else {
            let null =
                rustix::fs::open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).context(name)?;
            mount::clone_tree(null.as_fd(), Reach::One)
        };
        let cover = cover.context(name)?;
        mount::attach(cover.as_fd(), place.as_fd()).context(name)?;
        if kind == FileType::Directory {
            empty.get_or_insert(cover);
        }
    }
    Ok(())
}

/// Makes paths read-only, with what is mounted below them.
pub fn make_readonly(paths: &[String]) -> Result<(), String> {
    for path in paths {
        let name = || format!("make {path:?} read-only");
        let place = match place::open(Path::new(path)) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            other => other.context(name)?,
        };
        let tree = mount::clone_tree(place.as_fd(), Reach::Recursive).context(name)?;
        let change = Change { set: READONLY, ..Change::default() };
        mount::set_attributes(tree.as_fd(), Reach::Recursive, &change).context(name)?;
        mount::attach(tree.as_fd(), place.as_fd()).context(name)?;
    }
    Ok(())
}

/// A directory of the host for the container's `/sys/fs/cgroup`, read-only unless told otherwise.
pub fn take_plain(path: &Path, writable: bool) -> Result<OwnedFd, String> {
    let name = || format!("error mounting {path:?}");
    let place = openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::empty())
        .context(name)?;
    let tree = mount::clone_tree(place.as_fd(), Reach::One).context(name)?;
    let readonly = if writable { 0 } else { READONLY };
    let change = Change {
        set: readonly | mount::NOSUID | mount::NODEV | mount::NOEXEC,
        propagation: Some(mount::Propagation::Private),
        ..Change::default()
    };
    mount::set_attributes(tree.as_fd(), Reach::One, &change).context(name)?;
    Ok(tree)
}
