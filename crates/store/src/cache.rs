//! The memory side of the store: one shard for each prefix, and the revision that is visible everywhere.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use cox_api::Object;
use cox_env::Env;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use crate::error::Error;
use crate::interest::Interest;
use crate::key::Key;
use crate::limits::Limits;
use crate::shard::{Change, Shard};
use crate::snapshot::Snapshot;
use crate::watcher::Watcher;

pub(crate) struct Cache {
    env: Env,
    limits: Limits,
    shards: RwLock<Shards>,
    /// Everything up to this revision is visible and was handed to the watchers.
    revision: watch::Sender<u64>,
    /// Wakes those who wait for a revision, in the order in which they came: a `watch` would wake them in one of
    /// chance, by which no simulation could be replayed.
    moved: Notify,
    retained: Mutex<VecDeque<(Duration, Snapshot)>>,
    watchers: AtomicUsize,
    next_watcher: AtomicU64,
}

struct Shards {
    by_prefix: BTreeMap<Arc<str>, Arc<Shard>>,
    /// The revision at which everything was loaded: a prefix without a shard had no event since.
    base: u64,
    closed: bool,
}

impl Cache {
    pub(crate) fn new(env: Env, limits: Limits) -> Cache {
        Cache {
            env,
            limits,
            shards: RwLock::new(Shards { by_prefix: BTreeMap::new(), base: 0, closed: false }),
            revision: watch::Sender::new(0),
            retained: Mutex::default(),
            moved: Notify::new(),
            watchers: AtomicUsize::new(0),
            next_watcher: AtomicU64::new(0),
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    fn shard(&self, prefix: &str) -> Option<Arc<Shard>> {
        self.shards.read().by_prefix.get(prefix).cloned()
    }

    fn shard_or_new(&self, prefix: &str) -> Arc<Shard> {
        if let Some(shard) = self.shard(prefix) {
            return shard;
        }
        let mut shards = self.shards.write();
        let base = shards.base;
        let prefix: Arc<str> = prefix.into();
        shards
            .by_prefix
            .entry(prefix.clone())
            .or_insert_with(|| Arc::new(Shard::starting_at(prefix, base)))
            .clone()
    }

    /// Puts an object there before anyone reads.
    pub(crate) fn load(&self, key: Key, object: Object) {
        self.shard_or_new(key.prefix()).load(key, object);
    }

    /// Says that everything was loaded.
    pub(crate) fn loaded(&self, revision: u64) {
        let mut shards = self.shards.write();
        shards.base = revision;
        for shard in shards.by_prefix.values() {
            shard.loaded_at(revision);
        }
        drop(shards);
        self.revision.send_replace(revision);
        self.moved.notify_waiters();
    }

    /// Takes over what another cache loaded; every watch ends, for what happened between isn't known.
    pub(crate) fn replace(&self, other: Cache) {
        let revision = other.revision();
        let mut shards = self.shards.write();
        let mut loaded = other.shards.into_inner();
        std::mem::swap(&mut shards.by_prefix, &mut loaded.by_prefix);
        shards.base = revision;
        drop(shards);
        self.retained.lock().clear();
        self.revision.send_replace(revision);
        self.moved.notify_waiters();
        for shard in loaded.by_prefix.values() {
            shard.end_watches(&Error::Expired { asked: 0, oldest: revision });
        }
    }

    /// Makes a transaction visible. Transactions come in revision order.
    pub(crate) fn apply(&self, changes: &[Change]) {
        let now = self.env.elapsed();
        let mut done: Vec<&str> = Vec::new();
        for change in changes {
            let prefix = change.key.prefix();
            if !done.contains(&prefix) {
                done.push(prefix);
                self.shard_or_new(prefix).apply(changes, now, &self.limits);
            }
        }
    }

    /// Says that everything up to a revision was applied.
    pub(crate) fn reached(&self, revision: u64) {
        let later = self.revision.send_if_modified(|current| {
            let later = revision > *current;
            *current = revision.max(*current);
            later
        });
        if later {
            self.moved.notify_waiters();
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Object> {
        self.shard(key.prefix())?.get(key)
    }

    /// The key of an object that is there, by its text.
    pub(crate) fn find(&self, text: &str) -> Option<Key> {
        let shards: Vec<Arc<Shard>> = self.shards.read().by_prefix.values().cloned().collect();
        shards.iter().find_map(|shard| shard.find(text))
    }

    pub(crate) fn counts(&self) -> Vec<(Arc<str>, usize)> {
        let shards = self.shards.read();
        shards.by_prefix.iter().map(|(prefix, shard)| (prefix.clone(), shard.len())).collect()
    }

    pub(crate) fn snapshot(&self, prefix: &str) -> Snapshot {
        let at_least = self.revision();
        match self.shard(prefix) {
            Some(shard) => shard.snapshot(at_least),
            None => Snapshot { prefix: prefix.into(), objects: imbl::OrdMap::new(), revision: at_least },
        }
    }

    pub(crate) fn snapshot_at(&self, prefix: &str, revision: u64) -> Result<Snapshot, Error> {
        let current = self.revision();
        if revision > current {
            return Err(Error::NotYet { asked: revision, current });
        }
        let retained = self.retained.lock();
        if let Some((_, snapshot)) =
            retained.iter().find(|(_, snapshot)| snapshot.revision == revision && *snapshot.prefix == *prefix)
        {
            return Ok(snapshot.clone());
        }
        drop(retained);
        self.shard_or_new(prefix).snapshot_at(revision)
    }

    pub(crate) fn retain(&self, snapshot: &Snapshot) {
        let now = self.env.elapsed();
        let mut retained = self.retained.lock();
        retained.retain(|(at, known)| {
            now.saturating_sub(*at) < self.limits.history_age_max
                && (known.revision != snapshot.revision || known.prefix != snapshot.prefix)
        });
        retained.push_back((now, snapshot.clone()));
        while retained.len() > self.limits.snapshots_max {
            retained.pop_front();
        }
    }

    pub(crate) fn watch(
        self: &Arc<Self>,
        prefix: &str,
        from: u64,
        interest: Interest,
        limit: Option<usize>,
    ) -> Result<Watcher, Error> {
        if self.watchers.fetch_add(1, Ordering::Relaxed) >= self.limits.watchers_max {
            self.watcher_gone();
            return Err(Error::TooManyWatchers { limit: self.limits.watchers_max });
        }
        let id = self.next_watcher.fetch_add(1, Ordering::Relaxed);
        let limit = limit.unwrap_or(self.limits.watcher_events_max);
        self.shard_or_new(prefix);
        // Held while subscribing: closing and replacing end every watch that is in a shard by then.
        let shards = self.shards.read();
        let subscribed = match shards.by_prefix.get(prefix) {
            Some(shard) if !shards.closed => {
                shard.subscribe(id, from, interest, limit).map(|queue| (queue, shard.clone()))
            }
            Some(_) => Err(Error::Closed),
            None => Err(Error::Expired { asked: from, oldest: shards.base }),
        };
        drop(shards);
        match subscribed {
            Ok((queue, shard)) => Ok(Watcher { queue, shard, cache: self.clone(), ended: false }),
            Err(error) => {
                self.watcher_gone();
                Err(error)
            }
        }
    }

    pub(crate) fn watcher_gone(&self) {
        self.watchers.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn watcher_count(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    pub(crate) async fn wait_until(&self, revision: u64) -> Result<(), Error> {
        loop {
            // Made before the look: a change after it ends the wait.
            let moved = self.moved.notified();
            let closed = self.shards.read().closed;
            if self.revision() >= revision {
                return Ok(());
            }
            if closed {
                return Err(Error::Closed);
            }
            moved.await;
        }
    }

    /// Ends every watch and wait.
    pub(crate) fn close(&self) {
        let mut shards = self.shards.write();
        shards.closed = true;
        for shard in shards.by_prefix.values() {
            shard.end_watches(&Error::Closed);
        }
        drop(shards);
        self.moved.notify_waiters();
    }

    /// Drops history that is too old, also where nothing is written any more. Ends with the cache.
    pub(crate) async fn keep_history_short(cache: Weak<Cache>) {
        let Some((env, step, mut changed)) = cache
            .upgrade()
            .map(|cache| (cache.env.clone(), cache.limits.history_age_max / 4, cache.revision.subscribe()))
        else {
            return;
        };
        while changed.changed().await.is_ok() {
            loop {
                env.sleep(step).await;
                if !cache.upgrade().is_some_and(|cache| cache.prune()) {
                    break;
                }
            }
        }
    }

    /// Whether history is left.
    fn prune(&self) -> bool {
        let now = self.env.elapsed();
        let age = self.limits.history_age_max;
        let mut retained = self.retained.lock();
        retained.retain(|(at, _)| now.saturating_sub(*at) < age);
        let mut left = !retained.is_empty();
        drop(retained);
        let shards: Vec<Arc<Shard>> = self.shards.read().by_prefix.values().cloned().collect();
        for shard in shards {
            left |= shard.prune(now, &self.limits);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use cox_api::Header;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_snapshot_in_the_middle_of_a_batch_says_what_it_has() {
        let cache = Cache::new(Env::real(), Limits::default());
        cache.loaded(5);
        let put = |prefix: &str, revision| {
            let header = Header { name: "a".into(), ..Header::default() };
            let object = Object::new(&json!({"metadata": {"name": "a"}}), header, revision);
            Change { key: Key::new(prefix, "", "a"), revision, after: Some(object) }
        };
        cache.apply(&[put("pods", 6)]);
        cache.apply(&[put("nodes", 7)]);
        // Neither is announced yet: a watch from a snapshot must not bring again what the snapshot has.
        let revision_of = |prefix: &str| cache.snapshot(prefix).revision();
        assert_eq!([revision_of("pods"), revision_of("nodes"), revision_of("leases")], [6, 7, 5]);
        cache.reached(7);
        assert_eq!([revision_of("pods"), revision_of("nodes"), revision_of("leases")], [7, 7, 7]);
    }
}
