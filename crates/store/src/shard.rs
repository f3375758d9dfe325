//! The memory side of one prefix: objects, recent events, watchers.

use std::sync::Arc;
use std::time::Duration;

use cox_api::Object;
use imbl::OrdMap;
use parking_lot::RwLock;

use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::interest::{Index, Interest};
use crate::key::Key;
use crate::limits::Limits;
use crate::snapshot::Snapshot;
use crate::watcher::Queue;
use crate::window::Window;

pub(crate) struct Shard {
    pub(crate) prefix: Arc<str>,
    state: RwLock<State>,
}

struct State {
    objects: OrdMap<Key, Object>,
    /// The revision of the last change.
    modified: u64,
    window: Window,
    watchers: Index,
}

/// What a transaction makes of one key.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: Key,
    pub(crate) revision: u64,
    /// Nothing: deleted.
    pub(crate) after: Option<Object>,
}

impl Shard {
    pub(crate) fn starting_at(prefix: Arc<str>, floor: u64) -> Shard {
        let state = State {
            objects: OrdMap::new(),
            modified: floor,
            window: Window::starting_at(floor),
            watchers: Index::default(),
        };
        Shard { prefix, state: RwLock::new(state) }
    }

    /// Puts an object there without an event: loading.
    pub(crate) fn load(&self, key: Key, object: Object) {
        self.state.write().objects.insert(key, object);
    }

    /// Says that loading is over: there is no history before this revision.
    pub(crate) fn loaded_at(&self, revision: u64) {
        let mut state = self.state.write();
        state.modified = revision;
        state.window = Window::starting_at(revision);
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Object> {
        self.state.read().objects.get(key).cloned()
    }

    /// The key of an object that is there, by its text.
    pub(crate) fn find(&self, text: &str) -> Option<Key> {
        self.state.read().objects.get_key_value(text).map(|(key, _)| key.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Makes what a transaction changes in this prefix visible, at once, and tells everyone concerned.
    pub(crate) fn apply(&self, changes: &[Change], now: Duration, limits: &Limits) {
        let mut state = self.state.write();
        for change in changes.iter().filter(|change| *change.key.prefix() == *self.prefix) {
            state.modified = change.revision;
            if let Some(event) = state.change(change) {
                state.window.push(now, Arc::new(event.bare()), limits);
                state.watchers.dispatch(&Arc::new(event));
            }
        }
    }

    /// The objects now; `at_least` is the revision that is visible everywhere.
    pub(crate) fn snapshot(&self, at_least: u64) -> Snapshot {
        let state = self.state.read();
        Snapshot {
            prefix: self.prefix.clone(),
            objects: state.objects.clone(),
            // A change of this prefix may be visible here just before it is everywhere.
            revision: at_least.max(state.modified),
        }
    }

    /// The objects as they were, by undoing what happened since.
    pub(crate) fn snapshot_at(&self, revision: u64) -> Result<Snapshot, Error> {
        let state = self.state.read();
        let floor = state.window.floor();
        if revision < floor {
            return Err(Error::Expired { asked: revision, oldest: floor });
        }
        let mut objects = state.objects.clone();
        let since: Vec<Arc<Event>> = state.window.after(revision).rev().cloned().collect();
        drop(state);
        for event in since {
            match &event.previous {
                Some(previous) => objects.insert(event.key.clone(), previous.clone()),
                None => objects.remove(&event.key),
            };
        }
        Ok(Snapshot { prefix: self.prefix.clone(), objects, revision })
    }

    pub(crate) fn subscribe(
        &self,
        id: u64,
        from: u64,
        interest: Interest,
        limit: usize,
    ) -> Result<Arc<Queue>, Error> {
        let mut state = self.state.write();
        let floor = state.window.floor();
        if from < floor {
            return Err(Error::Expired { asked: from, oldest: floor });
        }
        let backlog = state.window.after(from).filter(|event| interest.covers(event)).cloned().collect();
        let queue = Arc::new(Queue::new(id, interest, from, limit, backlog));
        state.watchers.insert(queue.clone());
        Ok(queue)
    }

    pub(crate) fn unsubscribe(&self, queue: &Queue) {
        self.state.write().watchers.remove(queue);
    }

    /// Drops history that is too old; whether some is left.
    pub(crate) fn prune(&self, now: Duration, limits: &Limits) -> bool {
        let mut state = self.state.write();
        state.window.prune(now, limits);
        !state.window.is_empty()
    }

    /// Ends every watch.
    pub(crate) fn end_watches(&self, error: &Error) {
        for queue in self.state.write().watchers.drain() {
            queue.end(error.clone());
        }
    }
}

impl State {
    /// Nothing where the change deletes what isn't there.
    fn change(&mut self, change: &Change) -> Option<Event> {
        let key = change.key.clone();
        Some(match &change.after {
            Some(object) => {
                let previous = self.objects.insert(key.clone(), object.clone());
                let kind = if previous.is_some() { EventKind::Updated } else { EventKind::Created };
                Event { kind, key, object: object.clone(), previous }
            }
            None => {
                let previous = self.objects.remove(&key)?;
                let object = previous.at(change.revision);
                Event { kind: EventKind::Deleted, key, object, previous: Some(previous) }
            }
        })
    }
}
