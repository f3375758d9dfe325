//! From the creation of a container to its end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use cox_sys::process::{Forked, close_others};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};

use super::clock::now_ns;
use super::container::{Asker, Container, Ends, Input, Output, pipes};
use super::log::{Log, Stream};
use super::poll::Interest;
use super::{ContainerKey, Source, Supervisor, failed, state};
use crate::init::{self, ContainerJob, Report, error_text};
use crate::protocol::{
    ContainerSpec, ContainerState, Event, Exit, Failure, FailureKind, Phase, PidMode, Reply, ResolvedUser,
};

impl Supervisor {
    /// Forks the container's first process; the reply comes with its report.
    pub(super) fn create(&mut self, asker: Asker, spec: ContainerSpec) -> Result<(), Failure> {
        if self.ending.is_some() {
            return Err(failed(FailureKind::WrongState, "the sandbox is being stopped"));
        }
        if self.key_of(&spec.id).is_some() {
            return Err(failed(FailureKind::WrongState, format!("container {:?} exists", spec.id)));
        }
        self.fork_container(asker, spec).map_err(|e| failed(FailureKind::Failed, e))
    }

    fn fork_container(&mut self, asker: Asker, spec: ContainerSpec) -> Result<(), String> {
        let text = |what: &'static str| move |e: io::Error| format!("{what}: {}", error_text(&e));
        let log = match &spec.log_path {
            Some(path) => {
                Some(Log::open(path).map_err(|e| format!("open log file {path:?}: {}", error_text(&e)))?)
            }
            None => None,
        };
        let (stdio, ends) = if spec.process.tty {
            (None, Ends::default())
        } else {
            let (stdio, ends) = pipes(&spec).map_err(text("make pipes"))?;
            (Some(stdio), ends)
        };
        let (ours, theirs) = init::report_channel().map_err(text("make a socket"))?;
        let (pid, pidfd) = match self.sandbox.fork_container(&self.proof).map_err(text("fork"))? {
            Forked::Child => {
                let user_namespace = self.sandbox.user_map();
                let (shm, shm_path) = self.sandbox.shm();
                let mut keep = vec![theirs.as_fd()];
                keep.extend(user_namespace.map(|(fd, _)| fd));
                keep.extend(shm);
                if let Some(stdio) = &stdio {
                    keep.extend([stdio.stdin.as_fd(), stdio.stdout.as_fd(), stdio.stderr.as_fd()]);
                }
                close_others(&keep);
                init::container(ContainerJob {
                    spec: &spec,
                    user_namespace,
                    shm,
                    shm_path: shm_path.to_owned(),
                    stdio,
                    socket: theirs,
                })
            }
            Forked::Parent { pid, pidfd } => (pid, pidfd),
        };
        drop((theirs, stdio));
        let key = self.next_key;
        self.next_key += 1;
        let state = ContainerState {
            id: spec.id,
            pid,
            pid_start_ticks: state::start_ticks(pid),
            phase: Phase::Creating,
            user: ResolvedUser::default(),
            created_at_ns: now_ns(),
            started_at_ns: None,
            start_error: None,
            exit: None,
        };
        let token = self.poll.add(&ours, Interest::Read, Source::Setup(key)).map_err(text("epoll"))?;
        let mut container = Container {
            state,
            process: spec.process,
            cgroup_join: spec.cgroup_join,
            oom_file: spec.oom_file,
            stdin_once: spec.stdin_once,
            pidfd,
            setup: Some((ours, token)),
            asker: Some(asker),
            remover: None,
            log,
            outputs: [None, None],
            terminal: None,
            input: None,
        };
        for (stream, end) in [Stream::Stdout, Stream::Stderr].into_iter().zip(ends.outputs) {
            if let Some(fd) = end {
                let token = self.poll.add(&fd, Interest::Read, Source::Output(key, stream)).ok();
                container.outputs[stream as usize] = Some(Output { fd, token });
            }
        }
        container.input = ends.stdin.map(|fd| Input { fd, pending: Vec::new(), token: None });
        self.containers.insert(key, container);
        Ok(())
    }

    /// Releases a created container; the reply comes when its program has been executed.
    pub(super) fn start(&mut self, asker: Asker, id: &str) -> Result<(), Failure> {
        let key = self.find(id)?;
        let Some(container) = self.containers.get_mut(&key) else { return Ok(()) };
        let (Phase::Created, Some((socket, _))) = (container.state.phase, &container.setup) else {
            let message = format!("container {id:?} is not in created state");
            return Err(failed(FailureKind::WrongState, message));
        };
        init::release(socket.as_fd())
            .map_err(|e| failed(FailureKind::Failed, format!("start: {}", error_text(&e))))?;
        container.state.phase = Phase::Starting;
        container.asker = Some(asker);
        Ok(())
    }

    /// A container's child has something to say, or has become its program (or nothing at all).
    pub(super) fn child_reported(&mut self, key: ContainerKey) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        let Some((socket, token)) = &container.setup else { return };
        let report = match init::receive_report(socket.as_fd()) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
            Err(e) => Some((Report::Failed(error_text(&e)), None)),
            Ok(report) => report,
        };
        let result = match (report, container.state.phase) {
            (Some((Report::Ready { user, oom_score_clamped }, master)), Phase::Creating) => {
                container.state.phase = Phase::Created;
                container.state.user = user.clone();
                let pid = container.state.pid;
                if let Some(master) = master {
                    self.take_terminal(key, master);
                }
                Ok(Reply::Created { pid, user, oom_score_clamped })
            }
            (Some((Report::Failed(message), _)), phase) => {
                let message = format!("unable to start container process: {message}");
                if phase == Phase::Starting {
                    container.state.start_error = Some(message.clone());
                }
                Err(failed(FailureKind::Failed, message))
            }
            (None, Phase::Starting) => {
                // Closed by exec, or because the child was killed in between, which its end will tell.
                let (socket, token) = (socket.as_fd(), *token);
                self.poll.remove(socket, token);
                container.setup = None;
                if container.state.start_error.is_some() {
                    return;
                }
                let started_at_ns = now_ns();
                container.state.phase = Phase::Running;
                container.state.started_at_ns = Some(started_at_ns);
                Ok(Reply::Started { started_at_ns })
            }
            (None, _) => {
                let (socket, token) = (socket.as_fd(), *token);
                self.poll.remove(socket, token);
                container.setup = None;
                Err(failed(FailureKind::Failed, "unable to start container process: it was killed"))
            }
            (Some((Report::Ready { .. }, _)), _) => return,
        };
        self.save();
        let Some(container) = self.containers.get_mut(&key) else { return };
        if let Some(asker) = container.asker.take() {
            self.reply(asker, result);
        }
    }

    fn take_terminal(&mut self, key: ContainerKey, master: OwnedFd) {
        let Some(container) = self.containers.get_mut(&key) else { return };
        let _ = rustix::io::ioctl_fionbio(&master, true);
        // Three descriptors of one open file, so that each has a place of its own in the set of watched ones.
        let (Ok(output), Ok(input)) = (dup(&master), dup(&master)) else { return };
        let token = self.poll.add(&output, Interest::Read, Source::Output(key, Stream::Stdout)).ok();
        container.outputs[Stream::Stdout as usize] = Some(Output { fd: output, token });
        container.input = Some(Input { fd: input, pending: Vec::new(), token: None });
        container.terminal = Some(master);
    }

    /// Children have ended.
    pub(super) fn reap(&mut self) {
        let mut buffer = [0; 1024];
        while matches!(rustix::io::read(&self.signals, &mut buffer), Ok(count) if count > 0) {}
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get() as u32;
            let found = self.containers.iter().find(|(_, c)| c.state.pid == pid && c.state.exit.is_none());
            if let Some(key) = found.map(|(key, _)| *key) {
                self.container_ended(key, status);
            } else {
                self.exec_ended(pid, code_of(status).0);
            }
        }
    }

    fn container_ended(&mut self, key: ContainerKey, status: WaitStatus) {
        // What the child has said before counts: whether it was executed, and why not.
        for _ in 0..3 {
            self.child_reported(key);
        }
        self.drain(key);
        let Some(container) = self.containers.get_mut(&key) else { return };
        if self.sandbox.spec.pid != PidMode::Container {
            kill_rest(&container.cgroup_join);
        }
        let (code, signal) = code_of(status);
        let oom_killed =
            container.oom_file.as_deref().is_some_and(|file| cox_sys::cgroup::oom_kills(file) > 0);
        let exit = Exit { code, signal, oom_killed, finished_at_ns: now_ns() };
        container.state.exit = Some(exit);
        container.state.phase = Phase::Exited;
        let id = container.state.id.clone();
        let remover = container.remover.take();
        self.save();
        self.tell(Event::ContainerExited { id, exit });
        if let Some(asker) = remover {
            self.forget(key);
            self.reply(asker, Ok(Reply::Done));
        }
    }

    /// Kills if need be; the reply may come later.
    pub(super) fn remove(&mut self, asker: Asker, id: &str) -> Option<Result<Reply, Failure>> {
        let Some(key) = self.key_of(id) else { return Some(Ok(Reply::Done)) };
        let container = self.containers.get_mut(&key)?;
        if container.state.exit.is_some() {
            self.forget(key);
            return Some(Ok(Reply::Done));
        }
        container.remover = Some(asker);
        let _ = cox_sys::signal::send(container.pidfd(), Signal::KILL.as_raw());
        None
    }

    fn forget(&mut self, key: ContainerKey) {
        self.detach_all(key);
        let Some(container) = self.containers.remove(&key) else { return };
        for output in container.outputs.into_iter().flatten() {
            if let Some(token) = output.token {
                self.poll.remove(&output.fd, token);
            }
        }
        if let Some(Input { fd, token: Some(token), .. }) = &container.input {
            self.poll.remove(fd, *token);
        }
        if let Some((socket, token)) = &container.setup {
            self.poll.remove(socket, *token);
        }
        self.save();
    }

    /// Kills all containers, execs and the shared process namespace.
    pub(super) fn kill_everything(&mut self) {
        for container in self.containers.values().filter(|c| c.state.exit.is_none()) {
            let _ = cox_sys::signal::send(container.pidfd(), Signal::KILL.as_raw());
        }
        for exec in self.execs.values() {
            exec.kill();
        }
        if let Some(pause) = self.sandbox.pause().and_then(|pid| Pid::from_raw(pid as i32)) {
            let _ = kill_process(pause, Signal::KILL);
        }
    }

    pub(super) fn everything_ended(&self) -> bool {
        self.containers.values().all(|c| c.state.exit.is_some()) && self.execs.is_empty()
    }

    /// The last reply.
    pub(super) fn finish(&mut self) {
        self.sandbox.leave();
        self.save();
        if let Some(asker) = self.ending.take() {
            let state = self.state();
            // What the connection can't take at once it won't get; the state is on disk too.
            self.reply(asker, Ok(Reply::State(state)));
        }
        let _ = std::fs::remove_file(self.dir.join(crate::protocol::SOCKET_FILE));
    }
}

fn dup(fd: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
}

/// Exit code (128 + signal if a signal ended it) and signal.
pub(super) fn code_of(status: WaitStatus) -> (i32, Option<i32>) {
    match status.terminating_signal() {
        Some(signal) => (128 + signal, Some(signal)),
        None => (status.exit_status().unwrap_or(255), None),
    }
}

/// Where a container's processes don't end with its first one, they are killed by their cgroup.
fn kill_rest(join_files: &[std::path::PathBuf]) {
    let Some(procs) = join_files.first().and_then(|f| f.parent()).map(|dir| dir.join("cgroup.procs")) else {
        return;
    };
    for _ in 0..KILL_ROUNDS {
        if kill_members(&procs) == 0 {
            return;
        }
    }
}

/// A process may fork between the look and the blow. What survives all rounds is left to the agent.
const KILL_ROUNDS: u32 = 8;

/// How many there were.
fn kill_members(procs: &Path) -> usize {
    let text = std::fs::read_to_string(procs).unwrap_or_default();
    let mut count = 0;
    for pid in text.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
        // Gone in between is what is wanted.
        let _ = kill_process(pid, Signal::KILL);
        count += 1;
    }
    count
}
