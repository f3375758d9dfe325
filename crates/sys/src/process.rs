//! Making processes from a process that has one thread.

use std::ffi::{CStr, CString};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::namespace::Namespaces;

/// Shows that this process has one thread, so that ordinary code may run in a forked child: with more threads
/// a lock held by another one (the allocator's, for instance) would stay locked in the child forever. Whoever
/// holds it must not start threads.
pub struct SingleThreaded(PhantomData<*const ()>);

impl SingleThreaded {
    /// Looks whether there is only one thread; an error if there are more.
    pub fn check() -> io::Result<Self> {
        match std::fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(SingleThreaded(PhantomData)),
            n => Err(io::Error::other(format!("the process has {n} threads, it must have one"))),
        }
    }
}

/// Which side of a fork this is.
pub enum Forked {
    /// The new process.
    Child,
    /// The old one.
    Parent {
        /// The child's process id.
        pid: u32,
        /// The child, as a file descriptor (close-on-exec).
        pidfd: OwnedFd,
    },
}

/// libc's constant is of a type too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks into new namespaces and, on cgroup v2, directly into a cgroup (`cgroup` is its directory).
pub fn fork(
    _proof: &SingleThreaded,
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
) -> io::Result<Forked> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all-zero is a valid value of this plain struct of integers.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from(namespaces.bits()) | libc::CLONE_PIDFD as u64;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM and with no stack given this is a fork: the child goes on with a copy of this
    // stack and of all memory. There is one thread, as `_proof` shows, so no lock is held by another one.
    // `args` and `pidfd` outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &args, std::mem::size_of::<libc::clone_args>()) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => {
            // SAFETY: the kernel put a new descriptor here, which nobody else has.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pid: pid as u32, pidfd })
        }
    }
}

/// Replaces this process's program. Comes back only with an error.
pub fn execve(path: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
    };
    let (argv, envp) = (pointers(args), pointers(env));
    // SAFETY: both are arrays of pointers to C strings that live until the call is over, ended by null.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends this process at once: no destructors, no flushing. For forked children.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Gives the process a session keyring of its own, so that it doesn't see the keys of whoever made it. Kernels
/// and system call filters without keys count as done.
pub fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name means an anonymous keyring.
    let result = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    };
    match result {
        -1 => match io::Error::last_os_error() {
            e if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EDQUOT)) => Ok(()),
            e => Err(e),
        },
        _ => Ok(()),
    }
}

/// Makes the terminal behind standard input the controlling one of this session.
pub fn take_terminal(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes an integer argument; the descriptor is open.
    match unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Closes every descriptor but the standard streams and `keep`. For a forked child that never returns to the code
/// of its parent: whatever owned the others is not used, nor dropped, in it.
pub fn close_others(keep: &[BorrowedFd<'_>]) {
    let mut keep: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd() as u32).collect();
    keep.sort_unstable();
    let mut start = 3;
    for fd in keep.into_iter().chain(std::iter::once(u32::MAX)) {
        if fd > start {
            // SAFETY: the caller's promise: nothing in this process uses these descriptors any more. Kernels
            // before 5.9 refuse, which leaves them open until exec closes them.
            unsafe { libc::syscall(libc::SYS_close_range, start, fd - 1, 0) };
        }
        start = start.max(fd.saturating_add(1));
    }
}
