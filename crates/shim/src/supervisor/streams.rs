//! A container's streams: output goes to its log and to whoever is attached, attached input to the container.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::container::{Input, Output};
use super::log::Stream;
use super::poll::{Interest, Token};
use super::{ContainerKey, Source, Supervisor, failed};
use crate::init::error_text;
use crate::protocol::{Event, Failure, FailureKind, Message, Phase, Reply};

/// A client's descriptors.
pub struct Attached {
    container: ContainerKey,
    input: Option<(OwnedFd, Option<Token>)>,
    outputs: [Option<ClientOutput>; 2],
}

/// A descriptor that output is written to.
struct ClientOutput {
    fd: OwnedFd,
    /// What it hasn't taken yet. While there is some, the container's stream isn't read, so this stays small.
    pending: Vec<u8>,
    token: Option<Token>,
}

impl Supervisor {
    /// Connects a client.
    pub(super) fn attach(
        &mut self,
        connection: Token,
        id: &str,
        [stdin, stdout, stderr]: [bool; 3],
        fds: Vec<OwnedFd>,
    ) -> Result<Reply, Failure> {
        let key = self.find(id)?;
        let container = &self.containers[&key];
        if !matches!(container.state.phase, Phase::Created | Phase::Starting | Phase::Running) {
            return Err(failed(FailureKind::WrongState, format!("container {id:?} is not in running state")));
        }
        if self.attached.contains_key(&connection) {
            return Err(failed(FailureKind::WrongState, "this connection is attached already"));
        }
        let text = |e: io::Error| failed(FailureKind::Failed, format!("attach: {}", error_text(&e)));
        let mut fds = fds.into_iter();
        let mut next = |wanted: bool| -> Result<Option<OwnedFd>, Failure> {
            let Some(fd) = wanted.then(|| fds.next()).flatten() else { return Ok(None) };
            rustix::io::ioctl_fionbio(&fd, true).map_err(|e| text(e.into()))?;
            Ok(Some(fd))
        };
        let mut attached = Attached { container: key, input: None, outputs: [None, None] };
        if let Some(fd) = next(stdin)? {
            let token =
                self.poll.add(&fd, Interest::Read, Source::AttachedInput(connection)).map_err(text)?;
            attached.input = Some((fd, Some(token)));
        }
        for (place, wanted) in attached.outputs.iter_mut().zip([stdout, stderr]) {
            *place = next(wanted)?.map(|fd| ClientOutput { fd, pending: Vec::new(), token: None });
        }
        self.attached.insert(connection, attached);
        Ok(Reply::Done)
    }

    /// Disconnects a client.
    pub(super) fn detach(&mut self, connection: Token) {
        let Some(attached) = self.attached.remove(&connection) else { return };
        if let Some((fd, Some(token))) = &attached.input {
            self.poll.remove(fd, *token);
        }
        for output in attached.outputs.iter().flatten() {
            if let Some(token) = output.token {
                self.poll.remove(&output.fd, token);
            }
        }
        self.resume(attached.container);
    }

    /// Disconnects all clients of a container and tells them so.
    pub(super) fn detach_all(&mut self, key: ContainerKey) {
        let connections: Vec<Token> =
            self.attached.iter().filter(|(_, a)| a.container == key).map(|(token, _)| *token).collect();
        for connection in connections {
            self.detach(connection);
            self.send(connection, &Message::Event(Event::AttachEnded), Vec::new());
        }
    }

    /// A container has written something.
    pub(super) fn output_ready(&mut self, key: ContainerKey, stream: Stream) {
        self.read_output(key, stream);
        self.pause_if_full(key, stream);
    }

    /// Reads once; false when there is nothing more for now.
    fn read_output(&mut self, key: ContainerKey, stream: Stream) -> bool {
        let Some(container) = self.containers.get_mut(&key) else { return false };
        let Some(output) = &container.outputs[stream as usize] else { return false };
        let mut buffer = std::mem::take(&mut self.buffer);
        let count = match rustix::io::read(&output.fd, buffer.as_mut_slice()) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => {
                self.buffer = buffer;
                return false;
            }
            // A terminal whose other side is closed.
            Err(_) => 0,
        };
        if count > 0 {
            if let Some(log) = &mut container.log {
                log.write(stream, &buffer[..count]);
            }
            self.pass_to_clients(key, stream, &buffer[..count]);
        }
        self.buffer = buffer;
        if count == 0 {
            self.output_ended(key, stream);
        }
        count > 0
    }

    fn output_ended(&mut self, key: ContainerKey, stream: Stream) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        if let Some(Output { fd, token }) = container.outputs[stream as usize].take()
            && let Some(token) = token
        {
            self.poll.remove(&fd, token);
        }
        if let Some(log) = &mut container.log {
            log.end(stream);
        }
        if container.outputs.iter().all(Option::is_none) {
            self.end_clients(key);
        }
    }

    /// Clients of a container without further output go when they have taken what there is.
    fn end_clients(&mut self, key: ContainerKey) {
        let done = |a: &super::Attached| a.outputs.iter().flatten().all(|o| o.pending.is_empty());
        let connections: Vec<Token> = self
            .attached
            .iter()
            .filter(|(_, a)| a.container == key && done(a))
            .map(|(token, _)| *token)
            .collect();
        for connection in connections {
            self.detach(connection);
            self.send(connection, &Message::Event(Event::AttachEnded), Vec::new());
        }
    }

    /// After a container's end: takes what is in its pipes, whoever still holds them open.
    pub(super) fn drain(&mut self, key: ContainerKey) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.read_output(key, stream) {}
            self.output_ended(key, stream);
        }
    }

    fn pass_to_clients(&mut self, key: ContainerKey, stream: Stream, data: &[u8]) {
        for (connection, attached) in self.attached.iter_mut().filter(|(_, a)| a.container == key) {
            let Some(output) = &mut attached.outputs[stream as usize] else { continue };
            let written = if output.pending.is_empty() { write_some(&output.fd, data) } else { Some(0) };
            match written {
                Some(count) if count == data.len() => {}
                Some(count) => {
                    output.pending.extend_from_slice(&data[count..]);
                    if output.token.is_none() {
                        let source = Source::AttachedOutput(*connection, stream);
                        output.token = self.poll.add(&output.fd, Interest::Write, source).ok();
                    }
                }
                // The client doesn't want this stream any more.
                None => attached.outputs[stream as usize] = None,
            }
        }
    }

    /// A client can take more.
    pub(super) fn attached_writable(&mut self, connection: Token, stream: Stream) {
        let Some(attached) = self.attached.get_mut(&connection) else { return };
        let key = attached.container;
        let Some(output) = &mut attached.outputs[stream as usize] else { return };
        let written = write_some(&output.fd, &output.pending);
        output.pending.drain(..written.unwrap_or(output.pending.len()));
        if output.pending.is_empty() {
            if let Some(token) = output.token.take() {
                self.poll.remove(&output.fd, token);
            }
            if written.is_none() {
                attached.outputs[stream as usize] = None;
            }
            self.resume(key);
            if self.containers.get(&key).is_none_or(|c| c.outputs.iter().all(Option::is_none)) {
                self.end_clients(key);
            }
        }
    }

    /// A client that doesn't read holds the container up, as upstream does, rather than losing output.
    fn pause_if_full(&mut self, key: ContainerKey, stream: Stream) {
        if !self.is_full(key, stream) {
            return;
        }
        let Some(container) = self.containers.get_mut(&key) else { return };
        if let Some(output) = &mut container.outputs[stream as usize]
            && let Some(token) = output.token.take()
        {
            self.poll.remove(&output.fd, token);
        }
    }

    fn is_full(&self, key: ContainerKey, stream: Stream) -> bool {
        self.attached
            .values()
            .filter(|a| a.container == key)
            .filter_map(|a| a.outputs[stream as usize].as_ref())
            .any(|o| !o.pending.is_empty())
    }

    fn resume(&mut self, key: ContainerKey) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if self.is_full(key, stream) {
                continue;
            }
            let Some(container) = self.containers.get_mut(&key) else { return };
            if let Some(output) = &mut container.outputs[stream as usize]
                && output.token.is_none()
            {
                output.token = self.poll.add(&output.fd, Interest::Read, Source::Output(key, stream)).ok();
            }
        }
    }

    /// A client has typed something.
    pub(super) fn attached_input(&mut self, connection: Token) {
        let Some(attached) = self.attached.get_mut(&connection) else { return };
        let key = attached.container;
        let Some((fd, token)) = &mut attached.input else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        let ended = match rustix::io::read(&*fd, buffer.as_mut_slice()) {
            Err(Errno::AGAIN | Errno::INTR) => false,
            Ok(0) | Err(_) => {
                if let Some(token) = token.take() {
                    self.poll.remove(&*fd, token);
                }
                attached.input = None;
                true
            }
            Ok(count) => {
                self.pass_to_container(key, &buffer[..count]);
                false
            }
        };
        self.buffer = buffer;
        if ended {
            self.client_input_ended(key);
        }
    }

    fn client_input_ended(&mut self, key: ContainerKey) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        // With a terminal the client types end of file, it doesn't end the terminal.
        if !container.stdin_once || container.terminal.is_some() {
            return;
        }
        if let Some(input) = &container.input
            && input.pending.is_empty()
        {
            container.input = None;
        }
    }

    fn pass_to_container(&mut self, key: ContainerKey, data: &[u8]) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        let Some(input) = &mut container.input else { return };
        let written = if input.pending.is_empty() { write_some(&input.fd, data) } else { Some(0) };
        match written {
            Some(count) if count == data.len() => {}
            Some(count) => {
                input.pending.extend_from_slice(&data[count..]);
                if input.token.is_none() {
                    input.token = self.poll.add(&input.fd, Interest::Write, Source::Input(key)).ok();
                }
                self.watch_inputs(key, false);
            }
            None => container.input = None,
        }
    }

    /// The container takes input again.
    pub(super) fn input_writable(&mut self, key: ContainerKey) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        let Some(input) = &mut container.input else { return };
        let written = write_some(&input.fd, &input.pending);
        input.pending.drain(..written.unwrap_or(input.pending.len()));
        if input.pending.is_empty() {
            let Input { fd, token, .. } = input;
            if let Some(token) = token.take() {
                self.poll.remove(&*fd, token);
            }
            let no_client = !self.attached.values().any(|a| a.container == key && a.input.is_some());
            if written.is_none() || (container.stdin_once && container.terminal.is_none() && no_client) {
                container.input = None;
            }
            self.watch_inputs(key, true);
        }
    }

    /// While the container doesn't take input, none is read from clients.
    fn watch_inputs(&mut self, key: ContainerKey, watch: bool) {
        for (connection, attached) in self.attached.iter_mut().filter(|(_, a)| a.container == key) {
            let Some((fd, token)) = &mut attached.input else { continue };
            match (watch, *token) {
                (true, None) => {
                    *token = self.poll.add(&*fd, Interest::Read, Source::AttachedInput(*connection)).ok();
                }
                (false, Some(old)) => {
                    self.poll.remove(&*fd, old);
                    *token = None;
                }
                _ => {}
            }
        }
    }
}

/// How many bytes were taken; `None` if the other side is closed.
fn write_some(fd: &OwnedFd, data: &[u8]) -> Option<usize> {
    let mut done = 0;
    while done < data.len() {
        match rustix::io::write(fd, &data[done..]) {
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(_) => return None,
        }
    }
    Some(done)
}
