//! What can go wrong.

use std::error::Error as StdError;
use std::sync::Arc;

use cox_api::Object;

use crate::key::Key;

/// Why the store didn't do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something else is under the key than the writer expected; nothing of the transaction happened.
    #[error("{key} is not what was expected")]
    Conflict {
        /// Where the expectation failed first.
        key: Key,
        /// What is there.
        current: Option<Object>,
    },
    /// A transaction names a key twice, or changes nothing.
    #[error("not a transaction: {0}")]
    Malformed(String),
    /// An object is larger than [`object_bytes_max`](crate::Limits::object_bytes_max).
    #[error("{key}: {bytes} bytes are more than the limit of {limit}")]
    TooLarge {
        /// The object.
        key: Key,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// [`queue_max`](crate::Limits::queue_max) writers wait already.
    #[error("too many writers are waiting, the limit is {limit}")]
    TooBusy {
        /// The limit.
        limit: usize,
    },
    /// The journal failed earlier; what is in memory can still be read.
    #[error("the store is read-only since its journal failed: {0}")]
    ReadOnly(#[source] Arc<BackendError>),
    /// The durable side failed. Nothing is visible of the transaction; see [`BackendError`] for whether it
    /// may turn out to have happened.
    #[error(transparent)]
    Backend(Arc<BackendError>),
    /// The history asked for is gone: a new list is needed.
    #[error("revision {asked} is older than the history, which starts at {oldest}")]
    Expired {
        /// What was asked for.
        asked: u64,
        /// The oldest revision that would do.
        oldest: u64,
    },
    /// The revision asked for hasn't happened yet, see [`Store::wait_until`](crate::Store::wait_until).
    #[error("revision {asked} is in the future, the store is at {current}")]
    NotYet {
        /// What was asked for.
        asked: u64,
        /// Where the store is.
        current: u64,
    },
    /// A watcher didn't take its events in time and was cut off; watching again from the last revision it
    /// got goes on where it was.
    #[error("the watcher has {limit} events waiting and was cut off")]
    TooSlow {
        /// How many events could wait.
        limit: usize,
    },
    /// [`watchers_max`](crate::Limits::watchers_max) are watching already.
    #[error("too many watchers, the limit is {limit}")]
    TooManyWatchers {
        /// The limit.
        limit: usize,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Error {
        Error::Backend(Arc::new(error))
    }
}

/// What went wrong on the durable side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// It can't be opened.
    #[error("can't open the store at {place}")]
    Open {
        /// The directory or address.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Another process has it.
    #[error("the store at {place} is in use by another process")]
    Locked {
        /// The directory.
        place: String,
    },
    /// A record can't be read.
    #[error("the record of {key} is damaged: {why}")]
    Damaged {
        /// Its key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// Writing failed, and what is on the disk now is known only after opening it again. A store that is
    /// the only writer takes no more writes.
    #[error("the journal failed")]
    Journal(#[source] Box<dyn StdError + Send + Sync>),
    /// Nothing was written and it may be tried again.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// There was no answer: the write may have happened.
    #[error("no answer from the store: {0}")]
    Unknown(String),
    /// The history after a revision is no longer there.
    #[error("the history after revision {0} is compacted")]
    Compacted(u64),
    /// The backend was closed.
    #[error("the backend is closed")]
    Closed,
}
