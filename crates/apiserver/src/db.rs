//! The store as the API server uses it, with its failures in the words of the API.

use std::sync::Arc;

use cox_api::{Object, Reason, Status};
use cox_store::{Committed, Error, Event, EventKind, Interest, Key, Snapshot, Store, Txn, Watcher};
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use serde_json::json;

/// The store. Cloning shares it.
#[derive(Clone)]
pub struct Db(Store);

/// Why a write didn't happen.
pub enum WriteError {
    /// Something else is there than was expected.
    Conflict {
        /// What is there.
        current: Option<Object>,
    },
    /// Another object of the transaction isn't as it was expected: the write is to be made anew on what is there.
    Beside,
    /// The answer to the client.
    Failed(Status),
}

impl From<WriteError> for Status {
    fn from(error: WriteError) -> Status {
        match error {
            WriteError::Conflict { .. } | WriteError::Beside => {
                Status::new(409, Reason::Conflict, "the object was changed by another writer")
            }
            WriteError::Failed(status) => status,
        }
    }
}

impl Db {
    /// Wraps a store.
    pub fn new(store: Store) -> Db {
        Db(store)
    }

    /// The store itself.
    pub fn store(&self) -> &Store {
        &self.0
    }

    /// An object, now. The namespace is empty for kinds without one.
    pub fn get(&self, prefix: &str, namespace: &str, name: &str) -> Option<Object> {
        self.0.get(&Key::new(prefix, namespace, name))
    }

    /// An object, now.
    pub fn get_key(&self, key: &Key) -> Option<Object> {
        self.0.get(key)
    }

    /// The objects of a prefix and maybe one namespace, now.
    pub fn list(&self, prefix: &str, namespace: Option<&str>) -> Vec<Object> {
        let snapshot = self.0.snapshot(prefix);
        let objects = snapshot.range(namespace, std::ops::Bound::Unbounded).map(|(_, object)| object.clone());
        objects.collect()
    }

    /// Whether any of them fits.
    pub fn any(&self, prefix: &str, namespace: Option<&str>, fits: impl Fn(&Object) -> bool) -> bool {
        let snapshot = self.0.snapshot(prefix);
        snapshot.range(namespace, std::ops::Bound::Unbounded).any(|(_, object)| fits(object))
    }

    /// Everything of a prefix, now.
    pub fn snapshot(&self, prefix: &str) -> Snapshot {
        self.0.snapshot(prefix)
    }

    /// The revision up to which everything is visible.
    pub fn revision(&self) -> u64 {
        self.0.revision()
    }

    /// Writes.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn commit(&self, txn: Txn) -> Result<Committed, WriteError> {
        let first = txn.first_key().cloned();
        self.0.commit(txn).await.map_err(|error| match error {
            Error::Conflict { key, .. } if first.is_some_and(|first| first != key) => WriteError::Beside,
            Error::Conflict { current, .. } => WriteError::Conflict { current },
            other => WriteError::Failed(failure(&other)),
        })
    }

    /// Follows what changes in some prefixes, without a task: what has happened is asked for.
    pub(crate) fn changes(&self, prefixes: &[&'static str]) -> Changes {
        let followed = prefixes.iter().map(|&prefix| Followed { prefix, watcher: None }).collect();
        Changes { db: self.clone(), inner: Mutex::new(Inner { followed, waiting: Vec::new() }) }
    }
}

/// A failure of the store as an answer.
pub(crate) fn failure(error: &Error) -> Status {
    match error {
        Error::Expired { .. } => Status::expired("The resourceVersion for the provided watch is too old."),
        Error::NotYet { asked, current } => too_large_version(*asked, *current),
        Error::TooLarge { bytes, limit, .. } => Status::new(
            413,
            Reason::RequestEntityTooLarge,
            format!("etcdserver: request is too large ({bytes} bytes, the limit is {limit})"),
        ),
        Error::TooBusy { .. } | Error::TooManyWatchers { .. } => Status::new(
            429,
            Reason::TooManyRequests,
            "The server has received too many requests and has asked us to try again later",
        )
        .with_details(json!({"retryAfterSeconds": 1})),
        Error::TooSlow { .. } => Status::expired("the watch was too slow to take its events"),
        Error::ReadOnly(_) | Error::Closed => Status::new(503, Reason::ServiceUnavailable, error.to_string()),
        other => Status::internal(other),
    }
}

/// 504 for a revision that hasn't happened yet.
pub(crate) fn too_large_version(asked: u64, current: u64) -> Status {
    Status::new(
        504,
        Reason::Timeout,
        format!("Timeout: Too large resource version: {asked}, current: {current}"),
    )
    .with_details(json!({
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }))
}

/// Follows what changes in some prefixes.
pub(crate) struct Changes {
    db: Db,
    inner: Mutex<Inner>,
}

struct Inner {
    followed: Vec<Followed>,
    waiting: Vec<Change>,
}

struct Followed {
    prefix: &'static str,
    watcher: Option<Watcher>,
}

enum Change {
    /// Everything known of the prefix is forgotten; what is there comes next.
    Reset(usize),
    Is(usize, Object),
    Gone(usize, Object),
}

/// What has happened.
pub(crate) enum Seen<'a> {
    /// Everything known of the prefix is to be forgotten; what is there comes next.
    Reset,
    /// The object as it is now.
    Is(&'a Object),
    /// The object as it was last.
    Gone(&'a Object),
}

impl Changes {
    /// Whether anything has happened that wasn't drained yet.
    pub(crate) fn pending(&self) -> bool {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        for (at, followed) in inner.followed.iter_mut().enumerate() {
            followed.gather(at, &self.db, &mut inner.waiting);
        }
        !inner.waiting.is_empty()
    }

    /// Hands out everything that [`Changes::pending`] has seen, in order: the place of the prefix, and what
    /// happened.
    pub(crate) fn drain(&self, mut take: impl FnMut(usize, Seen<'_>)) {
        let waiting = std::mem::take(&mut self.inner.lock().waiting);
        for change in &waiting {
            match change {
                Change::Reset(at) => take(*at, Seen::Reset),
                Change::Is(at, object) => take(*at, Seen::Is(object)),
                Change::Gone(at, object) => take(*at, Seen::Gone(object)),
            }
        }
    }
}

impl Followed {
    fn gather(&mut self, at: usize, db: &Db, waiting: &mut Vec<Change>) {
        loop {
            let Some(watcher) = &mut self.watcher else {
                let snapshot = db.snapshot(self.prefix);
                let watcher = db.0.watch(self.prefix, snapshot.revision(), Interest::all(), None);
                let Ok(watcher) = watcher else { return };
                self.watcher = Some(watcher);
                waiting.push(Change::Reset(at));
                waiting.extend(snapshot.iter().map(|(_, object)| Change::Is(at, object.clone())));
                continue;
            };
            match watcher.next().now_or_never() {
                None => return,
                Some(Some(Ok(event))) => waiting.push(Change::of(at, &event)),
                // Cut off or closed: begin anew with what is there.
                Some(Some(Err(Error::Closed))) => return,
                Some(_) => self.watcher = None,
            }
        }
    }
}

impl Change {
    fn of(at: usize, event: &Arc<Event>) -> Change {
        match event.kind {
            EventKind::Created | EventKind::Updated => Change::Is(at, event.object.clone()),
            EventKind::Deleted => Change::Gone(at, event.object.clone()),
        }
    }
}
