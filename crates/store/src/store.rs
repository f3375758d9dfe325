//! The store as the API server sees it.

use std::sync::{Arc, OnceLock};

use cox_api::{Header, Object};
use cox_env::{Env, Task};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::backend::{Authority, Backend};
use crate::cache::Cache;
use crate::committer::{Committer, Failure, Request};
use crate::error::{BackendError, Error};
use crate::interest::Interest;
use crate::key::Key;
use crate::limits::Limits;
use crate::snapshot::Snapshot;
use crate::tail;
use crate::txn::{Committed, Op, OpKind, Txn};
use crate::watcher::Watcher;

/// Makes the header of an object that a backend kept as plain JSON: from its key and the decoded object.
pub type Describe = Arc<dyn Fn(&str, &Value) -> Header + Send + Sync>;

/// No name in Kubernetes comes near.
const KEY_BYTES_MAX: usize = 2048;

/// The store. Cloning shares it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    env: Env,
    backend: Arc<dyn Backend>,
    cache: Arc<Cache>,
    limits: Limits,
    /// Gone when the store is closed.
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    failure: Failure,
    committer: Mutex<Option<Task<()>>>,
}

impl Store {
    /// Loads everything a backend kept and starts the committer.
    ///
    /// # Errors
    /// Where the backend can't be read.
    pub async fn open(
        env: Env,
        backend: Box<dyn Backend>,
        limits: Limits,
        describe: Describe,
    ) -> Result<Store, Error> {
        let env = env.component("store");
        let backend: Arc<dyn Backend> = backend.into();
        let cache = Arc::new(Cache::new(env.clone(), limits.clone()));
        tail::load(&*backend, &cache, &describe).await?;
        let (sender, queue) = mpsc::channel(limits.queue_max);
        let failure: Failure = Arc::new(OnceLock::new());
        let committer = Committer {
            backend: backend.clone(),
            cache: cache.clone(),
            limits: limits.clone(),
            queue,
            failure: failure.clone(),
            describe: describe.clone(),
        };
        let committer = match backend.authority() {
            Authority::Store => env.spawn(committer.run()),
            Authority::Backend => {
                env.spawn(tail::follow(
                    env.clone(),
                    backend.clone(),
                    cache.clone(),
                    limits.clone(),
                    describe,
                ));
                env.spawn(committer.run_remote())
            }
        };
        env.spawn(Cache::keep_history_short(Arc::downgrade(&cache)));
        let (queue, committer) = (Mutex::new(Some(sender)), Mutex::new(Some(committer)));
        Ok(Store(Arc::new(Inner { env, backend, cache, limits, queue, failure, committer })))
    }

    /// Makes a transaction durable and visible. A transaction that was handed in goes on where its writer
    /// stops waiting.
    ///
    /// # Errors
    /// [`Error::Conflict`] where an expectation fails; [`Error::TooBusy`], [`Error::TooLarge`] and
    /// [`Error::Malformed`] at once; [`Error::Backend`] where the durable side failed, and
    /// [`Error::ReadOnly`] ever after where that was its journal.
    pub async fn commit(&self, txn: Txn) -> Result<Committed, Error> {
        self.check(&txn.ops)?;
        if let Some(failure) = self.0.failure.get() {
            return Err(Error::ReadOnly(failure.clone()));
        }
        let (answer, committed) = oneshot::channel();
        {
            let queue = self.0.queue.lock();
            let queue = queue.as_ref().ok_or(Error::Closed)?;
            queue.try_send(Request { ops: txn.ops, answer }).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => Error::TooBusy { limit: self.0.limits.queue_max },
                mpsc::error::TrySendError::Closed(_) => Error::Closed,
            })?;
        }
        committed.await.unwrap_or(Err(Error::Closed))
    }

    fn check(&self, ops: &[Op]) -> Result<(), Error> {
        if ops.iter().all(|op| matches!(op.kind, OpKind::Check)) {
            return Err(Error::Malformed("it changes nothing".into()));
        }
        for (at, op) in ops.iter().enumerate() {
            let key = &op.key;
            if ops[..at].iter().any(|other| other.key == *key) {
                return Err(Error::Malformed(format!("{key} stands in it twice")));
            }
            if key.as_str().len() > KEY_BYTES_MAX {
                return Err(Error::Malformed(format!("the key is longer than {KEY_BYTES_MAX} bytes")));
            }
            if let OpKind::Put(object) = &op.kind {
                let (bytes, limit) = (object.json_len(), self.0.limits.object_bytes_max);
                if bytes > limit {
                    return Err(Error::TooLarge { key: key.clone(), bytes, limit });
                }
                // After a restart the prefix is found again by the object's own name.
                if Key::parse(key.as_str(), object.header()).is_none_or(|own| own.path() != key.path()) {
                    return Err(Error::Malformed(format!("{key} isn't named as its object")));
                }
            }
        }
        Ok(())
    }

    /// The object under a key, now.
    pub fn get(&self, key: &Key) -> Option<Object> {
        self.0.cache.get(key)
    }

    /// All objects of a prefix, now.
    pub fn snapshot(&self, prefix: &str) -> Snapshot {
        self.0.cache.snapshot(prefix)
    }

    /// All objects of a prefix as they were at a revision: from what was retained, or by undoing what is
    /// known to have happened since.
    ///
    /// # Errors
    /// [`Error::Expired`], [`Error::NotYet`].
    pub fn snapshot_at(&self, prefix: &str, revision: u64) -> Result<Snapshot, Error> {
        self.0.cache.snapshot_at(prefix, revision)
    }

    /// Keeps a snapshot for [`Store::snapshot_at`] beyond the recent history, for the next page of a list:
    /// until it is [`history_age_max`](Limits::history_age_max) old or
    /// [`snapshots_max`](Limits::snapshots_max) others were retained.
    pub fn retain(&self, snapshot: &Snapshot) {
        self.0.cache.retain(snapshot);
    }

    /// What happens in a prefix after a revision, as far as it is of interest. `limit` is how many events
    /// may wait until the watcher is cut off, where the store's own limit doesn't fit.
    ///
    /// A revision that hasn't happened yet is no error: nothing up to it will be heard of.
    ///
    /// # Errors
    /// [`Error::Expired`], [`Error::TooManyWatchers`], [`Error::Closed`].
    pub fn watch(
        &self,
        prefix: &str,
        from: u64,
        interest: Interest,
        limit: Option<usize>,
    ) -> Result<Watcher, Error> {
        self.0.cache.watch(prefix, from, interest, limit)
    }

    /// The revision up to which everything is visible.
    pub fn revision(&self) -> u64 {
        self.0.cache.revision()
    }

    /// Waits until everything up to a revision is visible. It may be a revision that never comes: callers
    /// bound the time.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn wait_until(&self, revision: u64) -> Result<(), Error> {
        self.0.cache.wait_until(revision).await
    }

    /// How many objects each prefix has; prefixes that were never touched are missing.
    pub fn counts(&self) -> Vec<(Arc<str>, usize)> {
        self.0.cache.counts()
    }

    /// How many watchers there are.
    pub fn watchers(&self) -> usize {
        self.0.cache.watcher_count()
    }

    /// Why the store takes no more writes, if it doesn't.
    pub fn failure(&self) -> Option<Arc<BackendError>> {
        self.0.failure.get().cloned()
    }

    /// Refuses new writes, ends every watch, waits for the writes under way and lets go of the backend.
    pub async fn close(&self) {
        drop(self.0.queue.lock().take());
        let committer = self.0.committer.lock().take();
        if let Some(committer) = committer {
            committer.await;
        }
        self.0.cache.close();
        self.0.env.tasks().end_and_wait().await;
        self.0.backend.close().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store(at {})", self.revision())
    }
}
