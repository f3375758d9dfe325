//! Programs in running containers, and their streams.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use cox_shim::protocol::{Call, Event, Phase};
use futures::future::FutureExt;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::Inner;
use super::link::{self, Incoming, Link};
use super::model::{Container, Sandbox};
use super::terminal::Terminal;
use crate::types::*;
use crate::{Result, RuntimeError};

/// How long output is waited for after a program's end, when something it left running keeps its streams open.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Sizes of a terminal that can wait.
const RESIZES_MAX: usize = 8;

/// Pipes for the wanted streams: our ends, and the program's in the order of the protocol.
struct Pipes {
    stdin: Option<pipe::Sender>,
    outputs: [Option<pipe::Receiver>; 2],
    theirs: Vec<OwnedFd>,
}

impl Pipes {
    fn new(options: StreamOptions) -> Result<Self> {
        let make = || -> std::io::Result<Self> {
            let mut pipes = Pipes { stdin: None, outputs: [None, None], theirs: Vec::new() };
            if options.stdin {
                let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
                pipes.stdin = Some(pipe::Sender::from_owned_fd(writer)?);
                pipes.theirs.push(reader);
            }
            for (place, wanted) in [options.stdout, options.stderr].into_iter().enumerate() {
                if wanted {
                    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
                    pipes.outputs[place] = Some(pipe::Receiver::from_owned_fd(reader)?);
                    pipes.theirs.push(writer);
                }
            }
            Ok(pipes)
        };
        make().map_err(RuntimeError::os("make pipes"))
    }
}

impl Inner {
    fn running(&self, id: &ContainerId) -> Result<(Arc<Sandbox>, Arc<Container>)> {
        let (sandbox, container) = self.container(id)?;
        if container.phase() != Phase::Running {
            let message = format!("container {:?} is not in running state", id.as_str());
            return Err(RuntimeError::WrongState(message));
        }
        Ok((sandbox, container))
    }

    pub(super) async fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        options: StreamOptions,
    ) -> Result<Streams> {
        let (sandbox, _) = self.running(id)?;
        let pipes = Pipes::new(if options.tty { StreamOptions::default() } else { options })?;
        let call = Call::Exec {
            id: id.to_string(),
            args: command.to_vec(),
            tty: options.tty,
            stdin: options.stdin && !options.tty,
            stdout: options.stdout && !options.tty,
            stderr: options.stderr && !options.tty,
        };
        let fds: Vec<BorrowedFd<'_>> = pipes.theirs.iter().map(AsFd::as_fd).collect();
        let asked = link::ask(&sandbox.dir, call, &fds).await;
        let (link, incoming, _, master) = asked.map_err(|e| match e {
            RuntimeError::Create(message) => RuntimeError::Exec(message),
            other => other,
        })?;
        drop(fds);
        let Pipes { stdin, outputs: [stdout, stderr], theirs } = pipes;
        // Otherwise our copies would keep the streams open after the program's end.
        drop(theirs);
        let exit = exec_exit(link, incoming).boxed();
        if !options.tty {
            return Ok(Streams {
                stdin: stdin.map(|s| Box::new(s) as InputStream),
                stdout: stdout.map(|s| Box::new(s) as OutputStream),
                stderr: stderr.map(|s| Box::new(s) as OutputStream),
                resize: None,
                exit,
            });
        }
        let Some(master) = master.into_iter().next() else {
            return Err(RuntimeError::Protocol("exec gave no terminal".to_owned()));
        };
        let terminal = Terminal::new(master).map_err(RuntimeError::os("open the terminal"))?;
        let (resize, mut sizes) = mpsc::channel(RESIZES_MAX);
        let resized = terminal.clone();
        tokio::spawn(async move {
            while let Some(size) = sizes.recv().await {
                let _ = resized.resize(size);
            }
        });
        Ok(Streams {
            stdin: options.stdin.then(|| Box::new(terminal.clone()) as InputStream),
            stdout: options.stdout.then(|| Box::new(terminal) as OutputStream),
            stderr: None,
            resize: Some(resize),
            exit,
        })
    }

    pub(super) async fn exec_sync(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Option<Duration>,
    ) -> Result<ExecSyncResult> {
        let options = StreamOptions { stdout: true, stderr: true, ..StreamOptions::default() };
        let run = async {
            let streams = self.exec(id, command, options).await?;
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let mut exit = streams.exit;
            let exit_code = {
                let mut reading = std::pin::pin!(async {
                    tokio::join!(collect(streams.stdout, &mut stdout), collect(streams.stderr, &mut stderr));
                });
                let mut all_read = false;
                let exit_code = loop {
                    tokio::select! {
                        biased;
                        code = &mut exit => break code?,
                        () = &mut reading, if !all_read => all_read = true,
                    }
                };
                if !all_read {
                    // What comes later than this comes from something the program left running.
                    let _ = tokio::time::timeout(DRAIN_TIME_MAX, reading).await;
                }
                exit_code
            };
            Ok(ExecSyncResult { stdout, stderr, exit_code })
        };
        let Some(timeout) = timeout.filter(|timeout| !timeout.is_zero()) else { return run.await };
        match tokio::time::timeout(timeout, run).await {
            Ok(result) => result,
            // Dropping what was waited for has closed the connection, which kills the program.
            Err(_) => Err(RuntimeError::ExecTimeout { command: command.join(" "), timeout }),
        }
    }

    pub(super) async fn attach(&self, id: &ContainerId, options: StreamOptions) -> Result<Streams> {
        let (sandbox, container) = self.container(id)?;
        if container.phase() == Phase::Exited {
            let message = format!("container {:?} is not in running state", id.as_str());
            return Err(RuntimeError::WrongState(message));
        }
        let options = StreamOptions { stderr: options.stderr && !container.record.config.tty, ..options };
        let pipes = Pipes::new(options)?;
        let (stdin, stdout, stderr) = (options.stdin, options.stdout, options.stderr);
        let call = Call::Attach { id: id.to_string(), stdin, stdout, stderr };
        let fds: Vec<BorrowedFd<'_>> = pipes.theirs.iter().map(AsFd::as_fd).collect();
        let (link, incoming, ..) = link::ask(&sandbox.dir, call, &fds).await?;
        drop(fds);
        let Pipes { stdin, outputs: [stdout, stderr], theirs } = pipes;
        drop(theirs);
        let mut resize = None;
        if container.record.config.tty {
            let (sender, mut sizes) = mpsc::channel::<TerminalSize>(RESIZES_MAX);
            resize = Some(sender);
            let (sandbox, id) = (sandbox.clone(), id.to_string());
            tokio::spawn(async move {
                while let Some(size) = sizes.recv().await {
                    let Ok(client) = sandbox.client() else { return };
                    let call = Call::Resize { id: id.clone(), width: size.width, height: size.height };
                    let _ = client.call(call).await;
                }
            });
        }
        let exit = async move {
            let (_link, mut incoming) = (link, incoming);
            while incoming.event().await?.is_some_and(|event| !matches!(event, Event::AttachEnded)) {}
            Ok(container.wait().await.code)
        };
        Ok(Streams {
            stdin: stdin.map(|s| Box::new(s) as InputStream),
            stdout: stdout.map(|s| Box::new(s) as OutputStream),
            stderr: stderr.map(|s| Box::new(s) as OutputStream),
            resize,
            exit: exit.boxed(),
        })
    }
}

/// Waits for a program's end. The connection lives as long as this does.
async fn exec_exit(link: Link, mut incoming: Incoming) -> Result<i32> {
    let _link = link;
    loop {
        match incoming.event().await? {
            Some(Event::ExecExited { code }) => return Ok(code),
            Some(_) => {}
            None => return Err(RuntimeError::Exec("the supervisor is gone".to_owned())),
        }
    }
}

/// Reads to the end; what is over the limit is dropped, so that the program isn't held up.
async fn collect(stream: Option<impl AsyncRead + Unpin>, collected: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = EXEC_SYNC_OUTPUT_BYTES_MAX.saturating_sub(collected.len());
        collected.extend_from_slice(&buffer[..count.min(room)]);
    }
}
