//! What can go wrong outside of a request; requests fail with a [`cox_api::Status`].

use std::error::Error as StdError;

/// A failure of the server itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Keys and certificates.
    #[error("{what}: {source}")]
    Pki {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A setting that can't be.
    #[error("{field}: {reason}")]
    Config {
        /// The setting.
        field: &'static str,
        /// Why not.
        reason: String,
    },
    /// An object that the server itself writes at start was refused.
    #[error("writing {what} at start: {source}")]
    Bootstrap {
        /// The object.
        what: String,
        /// Why it was refused.
        source: cox_api::Status,
    },
    /// A listener failed.
    #[error("listening: {0}")]
    Listen(#[from] std::io::Error),
}

impl Error {
    /// For `map_err` with an error of a TLS library.
    pub(crate) fn pki<E: StdError + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> Error {
        move |source| Error::Pki { what, source: Box::new(source) }
    }
}
