//! Streams of a process in a container.

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::Result;

/// How much of each stream [`Runtime::exec_sync`](crate::Runtime::exec_sync) collects; what is more is read and
/// dropped. Upstream's limit is 16 MiB.
pub const EXEC_SYNC_OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A stream into a process. Shutting it down or dropping it is end of file.
pub type InputStream = Box<dyn AsyncWrite + Send + Unpin>;

/// A stream out of a process.
pub type OutputStream = Box<dyn AsyncRead + Send + Unpin>;

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Which streams are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error; comes on standard output with a terminal.
    pub stderr: bool,
    /// A terminal.
    pub tty: bool,
}

/// The connected streams of a process.
pub struct Streams {
    /// Standard input, if asked for.
    pub stdin: Option<InputStream>,
    /// Standard output, if asked for.
    pub stdout: Option<OutputStream>,
    /// Standard error, if asked for and there is no terminal.
    pub stderr: Option<OutputStream>,
    /// New sizes of the terminal; `None` without one.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
    /// Ends with the process's exit code (128 + signal if a signal ended it). For attach it ends when the
    /// container has exited.
    pub exit: BoxFuture<'static, Result<i32>>,
}

/// What a command gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecSyncResult {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Its exit code, 128 + signal if a signal ended it.
    pub exit_code: i32,
}
