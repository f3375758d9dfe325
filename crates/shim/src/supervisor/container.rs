//! A container as the supervisor holds it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use super::log::{Log, Stream};
use super::poll::Token;
use crate::init::Stdio;
use crate::protocol::{ContainerSpec, ContainerState, Process};

/// Where a reply goes: connection and number of the request.
pub type Asker = (Token, u64);

/// A container.
pub struct Container {
    /// What is told about it.
    pub state: ContainerState,
    /// What further programs in it start from.
    pub process: Process,
    pub cgroup_join: Vec<PathBuf>,
    pub oom_file: Option<PathBuf>,
    pub stdin_once: bool,
    /// Its first process.
    pub pidfd: OwnedFd,
    /// The socket to the child until it has executed its program.
    pub setup: Option<(OwnedFd, Token)>,
    /// Who waits for creation or start, and for removal.
    pub asker: Option<Asker>,
    pub remover: Option<Asker>,
    pub log: Option<Log>,
    /// Its output: standard output (or the terminal) and standard error.
    pub outputs: [Option<Output>; 2],
    /// Its terminal.
    pub terminal: Option<OwnedFd>,
    /// Its standard input.
    pub input: Option<Input>,
}

/// An output stream of a container.
pub struct Output {
    pub fd: OwnedFd,
    /// Watched; not while an attached client's buffer is full.
    pub token: Option<Token>,
}

/// The input of a container.
pub struct Input {
    /// The pipe's end, or the terminal's master.
    pub fd: OwnedFd,
    /// What it hasn't taken yet.
    pub pending: Vec<u8>,
    /// Watched while something is pending.
    pub token: Option<Token>,
}

/// The supervisor's ends of a container's streams.
#[derive(Default)]
pub struct Ends {
    pub stdin: Option<OwnedFd>,
    pub outputs: [Option<OwnedFd>; 2],
}

/// Pipes for a container without a terminal: the child's ends and ours.
pub fn pipes(spec: &ContainerSpec) -> io::Result<(Stdio, Ends)> {
    let mut ends = Ends::default();
    let stdin = if spec.stdin {
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        ends.stdin = Some(ours);
        theirs
    } else {
        null()?
    };
    let mut output = |stream: Stream| -> io::Result<OwnedFd> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        ends.outputs[stream as usize] = Some(ours);
        Ok(theirs)
    };
    let (stdout, stderr) = (output(Stream::Stdout)?, output(Stream::Stderr)?);
    Ok((Stdio { stdin, stdout, stderr }, ends))
}

/// `/dev/null`.
pub fn null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

impl Container {
    /// The pidfd of its first process.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
