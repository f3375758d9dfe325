//! A connection to a supervisor: frames and descriptors on a socket of tokio's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use cox_shim::protocol::{Call, Event, FailureKind, Message, Reply, Request, SOCKET_FILE, VERSION};
use cox_shim::wire::{self, Decoder};
use rustix::fs::{Mode, OFlags};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::{Result, RuntimeError};

/// One connection. Sending and receiving may happen at the same time in two tasks.
#[derive(Clone)]
pub struct Link {
    stream: Arc<UnixStream>,
}

/// The receiving half.
pub struct Incoming {
    link: Link,
    decoder: Decoder,
}

impl Link {
    /// Connects to the supervisor of the sandbox in `dir`, without greeting it.
    pub fn connect(dir: &Path) -> io::Result<(Self, Incoming)> {
        // The path may be longer than a socket's address can be.
        let dir = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", dir.as_raw_fd());
        let stream = std::os::unix::net::UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        let link = Link { stream: Arc::new(UnixStream::from_std(stream)?) };
        Ok((link.clone(), Incoming { link, decoder: Decoder::default() }))
    }

    /// Sends a request. Only one task may send at a time.
    pub async fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let frame = wire::encode(request, fds.len())?;
        let mut sent = 0;
        while sent < frame.len() {
            let fds = if sent == 0 { fds } else { &[] };
            let send = || wire::send(self.stream.as_fd(), &frame[sent..], fds);
            sent += self.stream.async_io(Interest::WRITABLE, send).await?;
        }
        Ok(())
    }
}

impl Incoming {
    /// The next message; `None` at the end.
    pub async fn next(&mut self) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        loop {
            if let Some(message) = self.decoder.take()? {
                return Ok(Some(message));
            }
            let stream = self.link.stream.clone();
            let decoder = &mut self.decoder;
            match stream.async_io(Interest::READABLE, || decoder.fill(stream.as_fd())).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }

    /// The reply to `id`, with its descriptors. Events before it are passed over.
    pub async fn reply(&mut self, id: u64) -> Result<(Reply, Vec<OwnedFd>)> {
        loop {
            match self.next().await.map_err(RuntimeError::os("supervisor"))? {
                Some((Message::Reply { id: found, result }, fds)) if found == id => {
                    return result.map(|reply| (reply, fds)).map_err(failure);
                }
                Some(_) => {}
                None => return Err(RuntimeError::SandboxGone("connection closed".to_owned())),
            }
        }
    }

    /// The next event; `None` at the end.
    pub async fn event(&mut self) -> Result<Option<Event>> {
        loop {
            match self.next().await.map_err(RuntimeError::os("supervisor"))? {
                Some((Message::Event(event), _)) => return Ok(Some(event)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

/// Connects, greets and asks one thing; gives what is needed to go on.
pub async fn ask(
    dir: &Path,
    call: Call,
    fds: &[BorrowedFd<'_>],
) -> Result<(Link, Incoming, Reply, Vec<OwnedFd>)> {
    let gone = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => RuntimeError::SandboxGone(name_of(dir)),
        _ => RuntimeError::os("connect to the supervisor")(e),
    };
    let (link, mut incoming) = Link::connect(dir).map_err(gone)?;
    let send = |e| RuntimeError::os("send to the supervisor")(e);
    link.send(&Request { id: 0, call: Call::Hello { version: VERSION } }, &[]).await.map_err(send)?;
    link.send(&Request { id: 1, call }, fds).await.map_err(send)?;
    match incoming.reply(0).await?.0 {
        Reply::Hello { version, .. } if version == VERSION => {}
        other => return Err(RuntimeError::Protocol(format!("unexpected greeting {other:?}"))),
    }
    let (reply, fds) = incoming.reply(1).await?;
    Ok((link, incoming, reply, fds))
}

fn name_of(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A failure as an error; the caller knows better what it was about.
pub fn failure(failure: cox_shim::protocol::Failure) -> RuntimeError {
    match failure.kind {
        FailureKind::NotFound => RuntimeError::NotFound { kind: "container", name: failure.message },
        FailureKind::WrongState => RuntimeError::WrongState(failure.message),
        FailureKind::Failed => RuntimeError::Create(failure.message),
    }
}
