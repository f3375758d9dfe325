//! Namespaces: leaving the old ones, joining others.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Kinds of namespaces, as a set.
pub use rustix::thread::ThreadNameSpaceType as Namespaces;

/// Leaves the named namespaces for new ones. A new process namespace takes effect for children only.
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: only namespace flags can be in the set, so nothing that memory safety rests on (the table of
    // file descriptors) stops being shared.
    match unsafe { libc::unshare(namespaces.bits() as libc::c_int) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Joins namespaces: all named ones of a process, if `of` is a pidfd; or the one that `of` is, if it is a file of
/// `/proc/PID/ns`.
pub fn setns(of: BorrowedFd<'_>, namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: takes an open descriptor and flags that are namespaces only.
    match unsafe { libc::setns(of.as_raw_fd(), namespaces.bits() as libc::c_int) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
