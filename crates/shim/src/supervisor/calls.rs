//! What the agent asks for.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::termios::Winsize;

use super::poll::Token;
use super::{ContainerKey, Supervisor, failed};
use crate::init::error_text;
use crate::protocol::{Call, Failure, FailureKind, Phase, Reply, Request, VERSION};

impl Supervisor {
    pub(super) fn call(&mut self, connection: Token, request: Request, fds: Vec<OwnedFd>) {
        let asker = (connection, request.id);
        let greeted = self.connections.get(&connection).is_some_and(|c| c.greeted);
        if !greeted && !matches!(request.call, Call::Hello { .. }) {
            return self.reply(asker, Err(failed(FailureKind::WrongState, "hello comes first")));
        }
        // `Some` is an answer; otherwise it comes later.
        let result = match request.call {
            Call::Hello { .. } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.greeted = true;
                }
                Some(Ok(Reply::Hello { version: VERSION, pid: std::process::id() }))
            }
            Call::Create(spec) => self.create(asker, *spec).err().map(Err),
            Call::Start { id } => self.start(asker, &id).err().map(Err),
            Call::Signal { id, signal } => Some(self.signal(&id, signal)),
            Call::Exec { id, args, tty, stdin, stdout, stderr } => {
                self.exec(asker, &id, args, tty, [stdin, stdout, stderr], fds).err().map(Err)
            }
            Call::Attach { id, stdin, stdout, stderr } => {
                Some(self.attach(connection, &id, [stdin, stdout, stderr], fds))
            }
            Call::Resize { id, width, height } => Some(self.resize(&id, width, height)),
            Call::ReopenLog { id } => Some(self.reopen_log(&id)),
            Call::Remove { id } => self.remove(asker, &id),
            Call::State => Some(Ok(Reply::State(self.state()))),
            Call::Subscribe => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.subscribed = true;
                }
                Some(Ok(Reply::State(self.state())))
            }
            Call::Shutdown => {
                self.ending = Some(asker);
                self.kill_everything();
                None
            }
        };
        if let Some(result) = result {
            self.reply(asker, result);
        }
    }

    pub(super) fn find(&self, id: &str) -> Result<ContainerKey, Failure> {
        self.key_of(id).ok_or_else(|| failed(FailureKind::NotFound, format!("container {id:?}: not found")))
    }

    /// Signals for a process that is gone already have done their work.
    fn signal(&mut self, id: &str, signal: i32) -> Result<Reply, Failure> {
        let container = &self.containers[&self.find(id)?];
        if container.state.phase == Phase::Exited {
            return Ok(Reply::Done);
        }
        match cox_sys::signal::send(container.pidfd(), signal) {
            Ok(()) => Ok(Reply::Done),
            // Gone, but not reaped yet.
            Err(e) if e.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(Reply::Done),
            Err(e) => Err(failed(FailureKind::Failed, format!("signal {signal}: {}", error_text(&e)))),
        }
    }

    fn resize(&mut self, id: &str, width: u16, height: u16) -> Result<Reply, Failure> {
        let container = &self.containers[&self.find(id)?];
        let Some(terminal) = &container.terminal else {
            return Err(failed(FailureKind::WrongState, format!("container {id:?} has no terminal")));
        };
        let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        match rustix::termios::tcsetwinsize(terminal, size) {
            Ok(()) => Ok(Reply::Done),
            Err(e) => Err(failed(FailureKind::Failed, format!("resize: {}", error_text(&e.into())))),
        }
    }

    fn reopen_log(&mut self, id: &str) -> Result<Reply, Failure> {
        let key = self.find(id)?;
        match self.containers.get_mut(&key).and_then(|c| c.log.as_mut()).map(|log| log.reopen()) {
            None | Some(Ok(())) => Ok(Reply::Done),
            Some(Err(e)) => Err(failed(FailureKind::Failed, format!("reopen log: {}", error_text(&e)))),
        }
    }
}
