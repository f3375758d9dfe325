//! The supervisor: one loop that waits for everything.

mod calls;
mod clock;
mod connection;
mod container;
mod exec;
mod lifecycle;
mod log;
mod poll;
mod sandbox;
mod start;
mod state;
mod streams;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use cox_sys::process::SingleThreaded;

use connection::Connection;
use container::{Asker, Container};
use exec::Exec;
use log::Stream;
use poll::{Interest, Poll, Token};
use sandbox::Sandbox;
use streams::Attached;

use crate::protocol::{Event, Failure, FailureKind, Message, Reply, State};

pub use start::main;

/// What a watched descriptor is.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The socket new connections come to.
    Listener,
    /// Signals: children that ended.
    Signals,
    /// A connection.
    Connection,
    /// The socket to a container's child before it is a program.
    Setup(ContainerKey),
    /// The same of an exec.
    ExecSetup(Token),
    /// A container's output.
    Output(ContainerKey, Stream),
    /// A container's input has room again.
    Input(ContainerKey),
    /// Input of an attached client (named by its connection).
    AttachedInput(Token),
    /// An attached client has room for output again.
    AttachedOutput(Token, Stream),
}

/// Containers are numbered as they are made.
type ContainerKey = u32;

/// Everything.
struct Supervisor {
    proof: SingleThreaded,
    dir: PathBuf,
    sandbox: Sandbox,
    poll: Poll<Source>,
    listener: OwnedFd,
    signals: OwnedFd,
    connections: BTreeMap<Token, Connection>,
    containers: BTreeMap<ContainerKey, Container>,
    next_key: ContainerKey,
    /// Running execs, by the connection that asked for them.
    execs: BTreeMap<Token, Exec>,
    /// Attached clients, by connection.
    attached: BTreeMap<Token, Attached>,
    /// Who asked for the end.
    ending: Option<Asker>,
    /// What is read into.
    buffer: Vec<u8>,
}

/// How much of a stream is read at once.
const READ_BYTES: usize = 32 * 1024;

/// The most connections at a time: execs and attached clients have one each.
const CONNECTIONS_MAX: usize = 1024;

impl Supervisor {
    /// Serves until the agent asks for the end.
    fn run(mut self) -> io::Result<()> {
        loop {
            for token in self.poll.wait()? {
                let Some(source) = self.poll.source(token) else { continue };
                match source {
                    Source::Listener => self.accept(),
                    Source::Signals => self.reap(),
                    Source::Connection => self.serve(token),
                    Source::Setup(key) => self.child_reported(key),
                    Source::ExecSetup(connection) => self.exec_reported(connection),
                    Source::Output(key, stream) => self.output_ready(key, stream),
                    Source::Input(key) => self.input_writable(key),
                    Source::AttachedInput(connection) => self.attached_input(connection),
                    Source::AttachedOutput(connection, stream) => self.attached_writable(connection, stream),
                }
            }
            if self.ending.is_some() && self.everything_ended() {
                self.finish();
                return Ok(());
            }
        }
    }

    fn accept(&mut self) {
        use rustix::net::{SocketFlags, accept_with};
        while let Ok(socket) = accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            if self.connections.len() >= CONNECTIONS_MAX {
                continue;
            }
            if let Ok(token) = self.poll.add(&socket, Interest::Read, Source::Connection) {
                self.connections.insert(token, Connection::new(socket, token));
            }
        }
    }

    /// A connection can be read or written.
    fn serve(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let open = connection.flush(&self.poll).and_then(|()| connection.fill());
        loop {
            let Some(connection) = self.connections.get_mut(&token) else { return };
            match connection.decoder().take() {
                Ok(Some((request, fds))) => self.call(token, request, fds),
                Ok(None) => break,
                Err(_) => return self.close(token),
            }
        }
        if !matches!(open, Ok(true)) {
            self.close(token);
        }
    }

    /// Ends a connection with what belongs to it.
    fn close(&mut self, token: Token) {
        if let Some(connection) = self.connections.remove(&token) {
            self.poll.remove(connection.socket(), token);
            self.detach(token);
            self.kill_exec(token);
        }
    }

    fn send(&mut self, token: Token, message: &Message, fds: Vec<OwnedFd>) {
        if let Some(connection) = self.connections.get_mut(&token)
            && connection.send(&self.poll, message, fds).is_err()
        {
            self.close(token);
        }
    }

    fn reply(&mut self, asker: Asker, result: Result<Reply, Failure>) {
        self.send(asker.0, &Message::Reply { id: asker.1, result }, Vec::new());
    }

    /// Tells all subscribers.
    fn tell(&mut self, event: Event) {
        let subscribers: Vec<Token> =
            self.connections.iter().filter(|(_, c)| c.subscribed).map(|(token, _)| *token).collect();
        let message = Message::Event(event);
        for token in subscribers {
            self.send(token, &message, Vec::new());
        }
    }

    fn key_of(&self, id: &str) -> Option<ContainerKey> {
        self.containers.iter().find(|(_, c)| c.state.id == id).map(|(key, _)| *key)
    }

    fn state(&self) -> State {
        State {
            pid: std::process::id(),
            containers: self.containers.values().map(|c| c.state.clone()).collect(),
        }
    }

    fn save(&self) {
        // An agent that can connect asks instead; for one that can't this is second best anyway.
        let _ = state::write(&self.dir, &self.state());
    }
}

fn failed(kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into() }
}
