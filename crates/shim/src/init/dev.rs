//! `/proc`, `/dev` and `/sys` of a container, as the OCI runtime specification wants them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cox_sys::mount::{self, NODEV, NOEXEC, NOSUID, READONLY, Reach, new_filesystem};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, chownat, makedev, mknodat, symlinkat};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;

use super::error::Context;
use super::place::{self, Owner};
use crate::protocol::{ContainerSpec, DeviceNode};

/// What of the host goes into `/dev` and `/sys`, taken hold of before the root is changed.
pub struct HostParts {
    /// The pod's shared memory.
    pub shm: OwnedFd,
    /// Cgroup directories by name.
    pub cgroups: Vec<(String, OwnedFd)>,
}

/// Mounts them.
pub fn mount_all(spec: &ContainerSpec, parts: &HostParts, owner: Owner) -> Result<(), String> {
    put(new("proc", &[], NOSUID | NODEV | NOEXEC)?, "/proc", owner)?;
    dev(spec, parts, owner)?;
    let readonly = if spec.writable_sys { 0 } else { READONLY };
    put(new("sysfs", &[], NOSUID | NODEV | NOEXEC | readonly)?, "/sys", owner)?;
    cgroups(parts, readonly, owner)
}

fn new(kind: &str, options: &[(&str, &str)], attributes: u64) -> Result<OwnedFd, String> {
    new_filesystem(kind, options, attributes).context(|| format!("error mounting {kind:?}"))
}

fn put(tree: OwnedFd, path: &str, owner: Owner) -> Result<(), String> {
    let place = place::directory(Path::new(path), owner)?;
    mount::attach(tree.as_fd(), place.as_fd()).context(|| format!("error mounting to rootfs at {path:?}"))
}

fn dev(spec: &ContainerSpec, parts: &HostParts, owner: Owner) -> Result<(), String> {
    let (uid, gid) = (owner.uid.to_string(), owner.gid.to_string());
    let options = [("mode", "755"), ("size", "65536k"), ("uid", uid.as_str()), ("gid", gid.as_str())];
    put(new("tmpfs", &options, NOSUID)?, "/dev", owner)?;
    for (name, major, minor) in
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        let path = PathBuf::from(format!("/dev/{name}"));
        node(&DeviceNode { path, major, minor, mode: 0o666, ..DeviceNode::default() }, owner)?;
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
    ] {
        symlinkat(target, CWD, link).context(|| format!("symlink {link:?}"))?;
    }
    // Group 5 is `tty` everywhere.
    let tty = owner.gid.saturating_add(5).to_string();
    let options = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", tty.as_str())];
    put(new("devpts", &options, NOSUID | NOEXEC)?, "/dev/pts", owner)?;
    let shm =
        mount::clone_tree(parts.shm.as_fd(), Reach::One).context(|| "error mounting /dev/shm".to_owned())?;
    put(shm, "/dev/shm", owner)?;
    put(new("mqueue", &[], NOSUID | NODEV | NOEXEC)?, "/dev/mqueue", owner)?;
    spec.devices.iter().try_for_each(|device| node(device, owner))
}

fn node(device: &DeviceNode, owner: Owner) -> Result<(), String> {
    let path = &device.path;
    let name = || format!("mknod {path:?}");
    if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("/dev")) {
        place::directory(parent, owner)?;
    }
    let kind = if device.block { FileType::BlockDevice } else { FileType::CharacterDevice };
    let number = makedev(device.major, device.minor);
    match mknodat(CWD, path, kind, Mode::from_raw_mode(device.mode), number) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(()),
        Err(e) => return Err(e).context(name),
    }
    let user = Owner { uid: owner.uid.saturating_add(device.uid), gid: owner.gid.saturating_add(device.gid) };
    if user.uid == 0 && user.gid == 0 {
        return Ok(());
    }
    chownat(CWD, path, Some(user.uid()), Some(user.gid()), AtFlags::SYMLINK_NOFOLLOW).context(name)
}

fn cgroups(parts: &HostParts, readonly: u64, owner: Owner) -> Result<(), String> {
    let root = "/sys/fs/cgroup";
    // /sys may be read-only by now, but the place exists on every kernel with cgroups.
    if place::open(Path::new(root)).is_err() {
        return Ok(());
    }
    if let [(name, tree)] = parts.cgroups.as_slice()
        && name.is_empty()
    {
        let place = place::directory(Path::new(root), owner)?;
        return mount::attach(tree.as_fd(), place.as_fd()).context(|| format!("error mounting {root:?}"));
    }
    let tree = new("tmpfs", &[("mode", "755"), ("size", "64k")], NOSUID | NODEV | NOEXEC)?;
    put(tree, root, owner)?;
    for (name, tree) in &parts.cgroups {
        let path = format!("{root}/{name}");
        let place = place::directory(Path::new(&path), owner)?;
        mount::attach(tree.as_fd(), place.as_fd()).context(|| format!("error mounting {path:?}"))?;
    }
    if readonly != 0 {
        let change = mount::Change { set: READONLY, ..mount::Change::default() };
        mount::set_attributes_at(Path::new(root), Reach::One, &change)
            .context(|| format!("make {root:?} read-only"))?;
    }
    Ok(())
}

/// Opens a new terminal of the container's own: master and the program's side, owned by `user`.
pub fn open_terminal(user: Owner) -> Result<(OwnedFd, OwnedFd), String> {
    let name = || "open a terminal".to_owned();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).context(name)?;
    rustix::pty::unlockpt(&master).context(name)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).context(name)?;
    // The group stays `tty`.
    rustix::fs::fchown(&slave, Some(user.uid()), None).context(name)?;
    Ok((master, slave))
}

/// The terminal is also the container's console.
pub fn mount_console(terminal: &OwnedFd, owner: Owner) -> Result<(), String> {
    let place = place::file(Path::new("/dev/console"), owner)?;
    let name = || "error mounting /dev/console".to_owned();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(terminal));
    let terminal = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).context(name)?;
    let tree = mount::clone_tree(terminal.as_fd(), Reach::One).context(name)?;
    mount::attach(tree.as_fd(), place.as_fd()).context(name)
}
