//! What a netlink request can end in.

use std::io;

/// The result of a netlink operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What a netlink request can end in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call around the exchange failed.
    #[error("{call}: {source}")]
    Io {
        /// The call.
        call: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel refused one request of a batch.
    #[error("request {index} ({what}): {}{source}", detail(.message))]
    Refused {
        /// Position of the request in its batch, from 0.
        index: usize,
        /// The request, in words.
        what: String,
        /// The kernel's own explanation, often empty.
        message: String,
        /// The error number it answered with.
        source: io::Error,
    },
    /// An answer that makes no sense.
    #[error("malformed netlink answer: {0}")]
    Malformed(&'static str),
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!("{message}: ") }
}

// === impl Error ===

impl Error {
    /// For `map_err`: names the call that failed.
    pub(crate) fn io<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> Error {
        move |source| Error::Io { call, source: source.into() }
    }

    /// The error number, when the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Io { source, .. } | Error::Refused { source, .. } => source.raw_os_error(),
            Error::Malformed(_) => None,
        }
    }

    /// Whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOENT | libc::ENODEV | libc::ESRCH))
    }

    /// Whether what was to be made exists.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }
}
