//! What a forked child does until it has become a program in a container.
//!
//! The child talks to the supervisor over a socket of whole messages: [`Report`]s one way, a single byte to go on
//! the other way. The socket is closed when the program is executed, which is how the supervisor learns that it
//! worked.

mod container;
mod dev;
mod error;
mod exec;
mod mounts;
mod pause;
mod place;
mod program;
mod rootfs;
mod user;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use serde::{Deserialize, Serialize};

pub use container::{ContainerJob, run as container};
pub use error::error_text;
pub use exec::{ExecJob, run as exec};
pub use pause::run as pause;

use crate::protocol::ResolvedUser;
use crate::wire;

/// What a child reports.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// It is prepared; with a terminal, its master comes along. A container's child then waits to be released.
    Ready {
        /// Who the program will run as.
        user: ResolvedUser,
        /// `oom_score_adj` couldn't be set as wanted.
        oom_score_clamped: bool,
    },
    /// It failed; the message is for people.
    Failed(String),
}

/// The standard streams of a program without a terminal.
pub struct Stdio {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// The longest report.
const REPORT_BYTES_MAX: usize = 64 * 1024;

/// A pair of connected sockets: the supervisor's (non-blocking) and the child's.
pub fn report_channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((ours, theirs))
}

/// In the supervisor: the next report with its descriptor; `None` when the child's end is closed.
pub fn receive_report(socket: BorrowedFd<'_>) -> io::Result<Option<(Report, Option<OwnedFd>)>> {
    let mut buffer = vec![0; REPORT_BYTES_MAX];
    let mut fds = Default::default();
    match wire::receive(socket, &mut buffer, &mut fds) {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some((serde_json::from_slice(&buffer[..count])?, fds.pop_front()))),
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(e) => Err(e),
    }
}

/// In the supervisor: lets a prepared child go on.
pub fn release(socket: BorrowedFd<'_>) -> io::Result<()> {
    send(socket, b"g", SendFlags::NOSIGNAL)?;
    Ok(())
}

fn report(socket: &OwnedFd, report: &Report, fd: Option<BorrowedFd<'_>>) -> Result<(), String> {
    let mut bytes = serde_json::to_vec(report).map_err(|e| e.to_string())?;
    if bytes.len() > REPORT_BYTES_MAX {
        bytes = serde_json::to_vec(&Report::Failed("the error message is too long".to_owned()))
            .map_err(|e| e.to_string())?;
    }
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    wire::send(socket, &bytes, &fds).map(drop).map_err(|e| error_text(&e))
}

/// Waits for the release; without one (the supervisor is gone or has given up) the child ends.
fn await_release(socket: &OwnedFd) {
    let mut byte = [0];
    match recv(socket.as_fd(), &mut byte[..], RecvFlags::empty()) {
        Ok((1, _)) => {}
        _ => cox_sys::process::exit_now(1),
    }
}
