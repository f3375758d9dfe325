//! Network namespaces. A thread that enters another one never serves anything else afterwards.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::mount::UnmountFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::{Error, Result};

/// `f_type` of a pinned namespace.
const NSFS_MAGIC: i64 = 0x6e73_6673;
/// More pins than this on one path are taken for a fault.
const PINS_MAX: usize = 16;

/// Runs `work` in the network namespace `netns`, on a thread of its own, and waits for it. Threads that
/// `work` starts and sockets it opens stay in that namespace.
///
/// # Errors
/// The namespace can't be entered.
///
/// # Panics
/// When `work` does.
pub fn in_netns<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("in-netns".into())
            .spawn_scoped(scope, || {
                enter(netns)?;
                Ok(work())
            })
            .map_err(Error::io("spawn thread"))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Moves the calling thread into `netns`. Only for threads that exist for this.
///
/// # Errors
/// The system's refusal.
pub fn enter(netns: BorrowedFd<'_>) -> Result<()> {
    move_into_link_name_space(netns, Some(LinkNameSpaceType::Network)).map_err(Error::io("setns"))
}

/// Moves the calling thread into a new network namespace. Only for threads that exist for this.
///
/// # Errors
/// The system's refusal.
pub fn enter_new() -> Result<()> {
    // SAFETY: a network namespace is a property of the thread alone; nothing that other threads rely on
    // (descriptors, memory, working directory) is unshared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(Error::io("unshare"))
}

/// Moves the calling thread into new network and mount namespaces, and keeps its mounts to itself. What it
/// pins then vanishes with it and the threads it starts: for tests.
///
/// # Errors
/// The system's refusal.
pub fn enter_new_with_mounts() -> Result<()> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    // SAFETY: both belong to the thread alone; unsharing the mount namespace also gives the thread a working
    // directory and root of its own, which nothing else uses.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }
        .map_err(Error::io("unshare"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(Error::io("mount(MS_PRIVATE)"))
}

/// The network namespace of the calling thread.
///
/// # Errors
/// The system's refusal.
pub fn current() -> Result<File> {
    File::open("/proc/thread-self/ns/net").map_err(Error::io("open /proc/thread-self/ns/net"))
}

/// Opens a pinned network namespace.
///
/// # Errors
/// It does not exist, or the file is not a namespace (the machine was restarted, say).
pub fn open(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(Error::io("open network namespace"))?;
    if is_namespace(&file)? {
        Ok(file)
    } else {
        Err(Error::io("open network namespace")(io::Error::from_raw_os_error(libc::ENOENT)))
    }
}

/// Whether a network namespace is pinned at `path`.
///
/// # Errors
/// The system's refusal, other than that there is no such file.
pub fn is_pinned(path: &Path) -> Result<bool> {
    match File::open(path) {
        Ok(file) => is_namespace(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("open network namespace")(error)),
    }
}

fn is_namespace(file: impl AsFd) -> Result<bool> {
    Ok(rustix::fs::fstatfs(file).map_err(Error::io("fstatfs"))?.f_type == NSFS_MAGIC)
}

/// Pins the network namespace of the calling thread at `path`, which must not exist, so that it outlives the
/// thread and the process.
///
/// # Errors
/// The system's refusal.
pub fn pin_current(path: &Path) -> Result<()> {
    File::create_new(path).map_err(Error::io("create pin"))?;
    rustix::mount::mount_bind("/proc/thread-self/ns/net", path).map_err(|errno| {
        // Without the mount the file only stands in the way of the next attempt.
        let _ = fs::remove_file(path);
        Error::io("mount pin")(errno)
    })
}

/// Makes a network namespace and pins it at `path`.
///
/// # Errors
/// The system's refusal.
pub fn create(path: &Path) -> Result<()> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("new-netns".into())
            .spawn_scoped(scope, || {
                enter_new()?;
                pin_current(path)
            })
            .map_err(Error::io("spawn thread"))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Removes a pin. The namespace ends when nothing else holds it. No such pin is no error.
///
/// # Errors
/// The system's refusal.
pub fn unpin(path: &Path) -> Result<()> {
    for _ in 0..PINS_MAX {
        match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            // No mount point (any more).
            Err(rustix::io::Errno::INVAL) => break,
            Err(errno) => return Err(Error::io("umount pin")(errno)),
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove pin")(error)),
        _ => Ok(()),
    }
}

/// Writes `net.*` settings (`ipv4/ip_forward`) of the calling thread's network namespace.
///
/// # Errors
/// The system's refusal, or no such setting.
pub fn write_setting(setting: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{setting}");
    fs::write(path, value).map_err(Error::io("write setting"))
}
