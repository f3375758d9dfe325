//! A connection of the agent.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::Source;
use super::poll::{Interest, Poll, Token};
use crate::protocol::Message;
use crate::wire::{self, Decoder};

/// What can wait to be sent on a connection. An agent that doesn't read for so long has to connect again.
const OUTGOING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A connection.
pub struct Connection {
    socket: OwnedFd,
    pub token: Token,
    decoder: Decoder,
    outgoing: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    outgoing_bytes: usize,
    /// How much of the first outgoing frame has gone.
    sent: usize,
    /// It gets events.
    pub subscribed: bool,
    /// It has said hello.
    pub greeted: bool,
}

impl Connection {
    pub fn new(socket: OwnedFd, token: Token) -> Self {
        Connection {
            socket,
            token,
            decoder: Decoder::default(),
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
            sent: 0,
            subscribed: false,
            greeted: false,
        }
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Receives what is there; false at the end.
    pub fn fill(&mut self) -> io::Result<bool> {
        loop {
            match self.decoder.fill(&self.socket) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    pub fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    /// Queues a message and sends what goes.
    pub fn send(&mut self, poll: &Poll<Source>, message: &Message, fds: Vec<OwnedFd>) -> io::Result<()> {
        let frame = wire::encode(message, fds.len())?;
        self.outgoing_bytes += frame.len();
        if self.outgoing_bytes > OUTGOING_BYTES_MAX {
            return Err(io::Error::other("the agent doesn't read"));
        }
        self.outgoing.push_back((frame, fds));
        self.flush(poll)
    }

    /// Sends what goes and watches for more room if something is left.
    pub fn flush(&mut self, poll: &Poll<Source>) -> io::Result<()> {
        while let Some((frame, fds)) = self.outgoing.front_mut() {
            let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            match wire::send(&self.socket, &frame[self.sent..], &borrowed) {
                Ok(count) => {
                    fds.clear();
                    self.sent += count;
                    if self.sent == frame.len() {
                        self.outgoing_bytes -= frame.len();
                        self.outgoing.pop_front();
                        self.sent = 0;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return poll.change(&self.socket, self.token, Interest::Both);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        poll.change(&self.socket, self.token, Interest::Read)
    }
}
