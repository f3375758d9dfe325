//! What can go wrong in a runtime.

use std::path::PathBuf;
use std::time::Duration;

/// The result of a runtime call.
pub type Result<T, E = RuntimeError> = std::result::Result<T, E>;

/// What went wrong in a runtime call. The display text is what upstream's kubelet would show in a container's
/// state message or in an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// There is no such sandbox, container or image. Removing and stopping don't give this error: what is gone
    /// already counts as done.
    #[error("{kind} {name:?}: not found")]
    NotFound {
        /// `sandbox`, `container` or `image`.
        kind: &'static str,
        /// What was asked for.
        name: String,
    },
    /// The call makes no sense in the present state, for instance exec in a container that doesn't run.
    #[error("{0}")]
    WrongState(String),
    /// The configuration is refused: the message names the field.
    #[error("{0}")]
    Invalid(String),
    /// A container couldn't be created (kubelet: `CreateContainerError`).
    #[error("{0}")]
    Create(String),
    /// A container's process couldn't be started (kubelet: `RunContainerError`; the container is `Exited` with
    /// exit code 128 and reason `StartError` afterwards).
    #[error("{0}")]
    Start(String),
    /// A command couldn't be executed in a container (not: it ran and failed).
    #[error("{0}")]
    Exec(String),
    /// A command in a container ran into its timeout and was killed.
    #[error("command {command:?} timed out: timeout {timeout:?} exceeded")]
    ExecTimeout {
        /// The command line, joined by blanks.
        command: String,
        /// The timeout it was given.
        timeout: Duration,
    },
    /// A port of a pod couldn't be reached.
    #[error("{0}")]
    PortForward(String),
    /// An image couldn't be pulled (kubelet: `ErrImagePull`).
    #[error("{0}")]
    Pull(String),
    /// An image reference can't be parsed (kubelet: `InvalidImageName`).
    #[error("couldn't parse image name {name:?}: {message}")]
    InvalidImageName {
        /// The reference as given.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// An image archive, layer or configuration is damaged or of an unknown format.
    #[error("image {name}: {message}")]
    BadImage {
        /// The archive or reference.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// The supervisor of a sandbox is gone.
    #[error("sandbox {0:?}: the supervisor is gone")]
    SandboxGone(String),
    /// The supervisor doesn't speak our protocol.
    #[error("supervisor: {0}")]
    Protocol(String),
    /// A file couldn't be worked with.
    #[error("{what} {path:?}: {source}")]
    File {
        /// What was being done, for instance `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Any other error of the operating system.
    #[error("{what}: {source}")]
    Os {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl RuntimeError {
    /// An error about a file, for `map_err`.
    pub fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| RuntimeError::File { what, path, source }
    }

    /// An error of the operating system, for `map_err`.
    pub fn os(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| RuntimeError::Os { what, source }
    }

    /// Whether the object asked for doesn't exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, RuntimeError::NotFound { .. })
    }
}
