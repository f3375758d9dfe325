//! From the command line to the loop.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cox_sys::namespace::Namespaces;
use cox_sys::process::{Forked, SingleThreaded, close_others, exit_now, fork};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::process::{DumpableBehavior, Signal};

use super::container::null;
use super::poll::{Interest, Poll};
use super::sandbox::Sandbox;
use super::{READ_BYTES, Source, Supervisor};
use crate::init::error_text;
use crate::protocol::{READY, SOCKET_FILE, SPEC_FILE, SandboxSpec, VERSION};

/// `cox-shim DIR`: goes into the background, makes the pod's namespaces, says [`READY`] on standard output (or
/// what went wrong), closes it and serves.
pub fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: cox-shim DIR");
        return ExitCode::from(2);
    };
    match start(&dir) {
        Ok(Some(supervisor)) => match supervisor.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("cox-shim: {e}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = io::stdout().write_all(message.as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// `None` in the process that was started, which ends at once: the supervisor is its child.
fn start(dir: &Path) -> Result<Option<Supervisor>, String> {
    let text = |what: &'static str| move |e: io::Error| format!("{what}: {}", error_text(&e));
    let proof = SingleThreaded::check().map_err(text("start"))?;
    if let Forked::Parent { .. } = fork(&proof, Namespaces::empty(), None).map_err(text("fork"))? {
        exit_now(0);
    }
    // What the agent was started with, a pipe for instance whose end somebody waits for, isn't the supervisor's.
    close_others(&[]);
    rustix::process::setsid().map_err(|e| text("setsid")(e.into()))?;
    // It was executed through a descriptor, whose number would be its name.
    rustix::thread::set_name(c"cox-shim").map_err(|e| text("set name")(e.into()))?;
    // Nothing in a container may look into this process.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|e| text("set dumpable")(e.into()))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|e| text("become subreaper")(e.into()))?;
    let path = dir.join(SPEC_FILE);
    let bytes = fs::read(&path).map_err(|e| format!("read {path:?}: {}", error_text(&e)))?;
    let spec: SandboxSpec = serde_json::from_slice(&bytes).map_err(|e| format!("read {path:?}: {e}"))?;
    drop(bytes);
    if spec.version != VERSION {
        return Err(format!("protocol version {} instead of {VERSION}", spec.version));
    }
    for file in &spec.cgroup_join {
        fs::write(file, "0").map_err(|e| format!("join cgroup {file:?}: {}", error_text(&e)))?;
    }
    // The kernel should take a supervisor last; where that isn't allowed it stays as likely as the agent.
    let _ = fs::write("/proc/self/oom_score_adj", "-998");

    cox_sys::signal::ignore(Signal::PIPE.as_raw());
    let ignored = [Signal::HUP, Signal::INT, Signal::TERM, Signal::QUIT];
    let mut watched: Vec<i32> = ignored.iter().map(|s| s.as_raw()).collect();
    watched.push(Signal::CHILD.as_raw());
    let signals = cox_sys::signal::signalfd(&watched).map_err(text("signalfd"))?;
    let sandbox = Sandbox::make(&proof, dir, spec)?;
    let listener = listen_at(dir).map_err(text("listen"))?;
    let mut poll = Poll::new().map_err(text("epoll"))?;
    poll.add(&listener, Interest::Read, Source::Listener).map_err(text("epoll"))?;
    poll.add(&signals, Interest::Read, Source::Signals).map_err(text("epoll"))?;
    let supervisor = Supervisor {
        proof,
        dir: dir.to_owned(),
        sandbox,
        poll,
        listener,
        signals,
        connections: Default::default(),
        containers: Default::default(),
        next_key: 0,
        execs: Default::default(),
        attached: Default::default(),
        ending: None,
        buffer: vec![0; READ_BYTES],
    };
    supervisor.save();
    rustix::process::chdir("/").map_err(|e| text("chdir")(e.into()))?;
    say_ready().map_err(text("say ready"))?;
    Ok(Some(supervisor))
}

/// The directory's path may be longer than a socket's address can be, so it goes by way of a descriptor.
fn listen_at(dir: &Path) -> io::Result<OwnedFd> {
    let dir = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET_FILE}", dir.as_raw_fd()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::process::umask(Mode::from(0o077));
    bind(&socket, &address)?;
    listen(&socket, 64)?;
    Ok(socket)
}

fn say_ready() -> io::Result<()> {
    io::stdout().write_all(READY.as_bytes())?;
    io::stdout().flush()?;
    let null = null()?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    rustix::stdio::dup2_stdout(null.as_fd())?;
    Ok(())
}
