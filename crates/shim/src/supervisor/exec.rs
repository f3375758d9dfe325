//! Further programs in a container. Each belongs to the connection that asked for it.

use std::os::fd::{AsFd, OwnedFd};

use cox_sys::process::{Forked, close_others};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::container::{Asker, null};
use super::poll::{Interest, Token};
use super::{Source, Supervisor, failed};
use crate::init::{self, ExecJob, Report, Stdio, error_text};
use crate::protocol::{Event, Failure, FailureKind, Message, Phase, Reply};

/// A program that was asked for and hasn't ended.
pub struct Exec {
    pid: u32,
    setup: Option<(OwnedFd, Token)>,
    asker: Asker,
    /// The terminal's master until it is handed to the agent.
    master: Option<OwnedFd>,
    ready: bool,
    error: Option<String>,
}

impl Exec {
    /// Kills the program and what it started in its session.
    pub fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.pid as i32) {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Supervisor {
    /// Forks into the container; the reply comes when the program has been executed.
    pub(super) fn exec(
        &mut self,
        asker: Asker,
        id: &str,
        args: Vec<String>,
        tty: bool,
        streams: [bool; 3],
        fds: Vec<OwnedFd>,
    ) -> Result<(), Failure> {
        let key = self.find(id)?;
        if self.execs.contains_key(&asker.0) {
            return Err(failed(FailureKind::WrongState, "this connection has a program already"));
        }
        if self.containers[&key].state.phase != Phase::Running || self.ending.is_some() {
            return Err(failed(FailureKind::WrongState, format!("container {id:?} is not in running state")));
        }
        let text = |e: std::io::Error| failed(FailureKind::Failed, format!("exec: {}", error_text(&e)));
        let mut fds = fds.into_iter();
        let mut stdio = None;
        if !tty {
            let mut stream = |wanted: bool| match wanted.then(|| fds.next()).flatten() {
                Some(fd) => Ok(fd),
                None => null(),
            };
            let [stdin, stdout, stderr] = streams;
            stdio = Some(Stdio {
                stdin: stream(stdin).map_err(text)?,
                stdout: stream(stdout).map_err(text)?,
                stderr: stream(stderr).map_err(text)?,
            });
        }
        let container = &self.containers[&key];
        let (ours, theirs) = init::report_channel().map_err(text)?;
        let forked = self.sandbox.fork_into(&self.proof, container.pidfd()).map_err(text)?;
        let pid = match forked {
            Forked::Child => {
                let mut process = container.process.clone();
                process.args = args;
                process.tty = tty;
                if tty && !process.env.iter().any(|e| e.starts_with("TERM=")) {
                    process.env.push("TERM=xterm".to_owned());
                }
                let mut keep = vec![theirs.as_fd(), container.pidfd()];
                if let Some(stdio) = &stdio {
                    keep.extend([stdio.stdin.as_fd(), stdio.stdout.as_fd(), stdio.stderr.as_fd()]);
                }
                close_others(&keep);
                init::exec(ExecJob {
                    process: &process,
                    user: &container.state.user,
                    container: container.pidfd(),
                    map: self.sandbox.spec.user_namespace,
                    cgroup_join: &container.cgroup_join,
                    stdio,
                    socket: theirs,
                })
            }
            Forked::Parent { pid, .. } => pid,
        };
        drop((theirs, stdio));
        let exec = Exec { pid, setup: None, asker, master: None, ready: false, error: None };
        self.execs.insert(asker.0, exec);
        let token = self.poll.add(&ours, Interest::Read, Source::ExecSetup(asker.0)).map_err(text)?;
        if let Some(exec) = self.execs.get_mut(&asker.0) {
            exec.setup = Some((ours, token));
        }
        Ok(())
    }

    /// The child has something to say, or has become its program.
    pub(super) fn exec_reported(&mut self, connection: Token) {
        let Some(exec) = self.execs.get_mut(&connection) else { return };
        let Some((socket, token)) = &exec.setup else { return };
        match init::receive_report(socket.as_fd()) {
            Ok(Some((Report::Ready { .. }, master))) => {
                exec.ready = true;
                exec.master = master;
            }
            Ok(Some((Report::Failed(message), _))) => exec.error = Some(message),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(None) | Err(_) => {
                let (socket, token) = (socket.as_fd(), *token);
                self.poll.remove(socket, token);
                exec.setup = None;
                let (asker, pid) = (exec.asker, exec.pid);
                let result = match exec.error.take() {
                    Some(message) => Err(failed(
                        FailureKind::Failed,
                        format!(
                            "OCI runtime exec failed: exec failed: unable to start container process: {message}"
                        ),
                    )),
                    None if exec.ready => Ok(Reply::ExecStarted { pid }),
                    None => Err(failed(FailureKind::Failed, "exec failed: it was killed")),
                };
                let fds = exec.master.take().into_iter().collect();
                self.send(asker.0, &Message::Reply { id: asker.1, result }, fds);
            }
        }
    }

    /// A child that is no container's first process has ended.
    pub(super) fn exec_ended(&mut self, pid: u32, code: i32) {
        let Some(connection) = self.execs.iter().find(|(_, e)| e.pid == pid).map(|(token, _)| *token) else {
            return;
        };
        for _ in 0..3 {
            self.exec_reported(connection);
        }
        if let Some(exec) = self.execs.remove(&connection)
            && let Some((socket, token)) = exec.setup
        {
            self.poll.remove(&socket, token);
        }
        self.send(connection, &Message::Event(Event::ExecExited { code }), Vec::new());
    }

    /// Its connection is closed.
    pub(super) fn kill_exec(&mut self, connection: Token) {
        if let Some(exec) = self.execs.get(&connection) {
            exec.kill();
        }
    }
}
