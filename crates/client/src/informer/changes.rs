//! What changed: one change, and a subscription that keeps only the newest state of each object.

use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::sync::Arc;

use cox_api::Object;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::kind::{Key, Kind};

/// A change of one object: appeared (`old` is none), changed, or went away (`new` is none). An object that was
/// replaced by another of the same name is two changes.
#[derive(Clone, Debug)]
pub struct Change<T> {
    /// Before; for an object that went away its last state.
    pub old: Option<T>,
    /// Now.
    pub new: Option<T>,
}

impl<T> Change<T> {
    /// The newest state known.
    ///
    /// # Panics
    /// Never for changes made by informers: one side is always there.
    pub fn latest(&self) -> &T {
        self.new.as_ref().or(self.old.as_ref()).expect("a change has a side")
    }
}

#[derive(Default)]
pub(super) struct Pending {
    order: VecDeque<Key>,
    changes: BTreeMap<Key, Change<Object>>,
}

/// The sending side: bounded by the number of objects, since changes of one object are joined.
#[derive(Default)]
pub(super) struct Mailbox {
    pending: Mutex<Pending>,
    notify: Notify,
}

impl Mailbox {
    pub(super) fn put(&self, key: Key, old: Option<&Object>, new: Option<&Object>) {
        let mut pending = self.pending.lock();
        let Pending { order, changes } = &mut *pending;
        match changes.get_mut(&key) {
            Some(change) => change.new = new.cloned(),
            None => {
                changes.insert(key.clone(), Change { old: old.cloned(), new: new.cloned() });
                order.push_back(key);
            }
        }
        drop(pending);
        self.notify.notify_one();
    }

    fn take(&self) -> Option<Change<Object>> {
        let mut pending = self.pending.lock();
        loop {
            let key = pending.order.pop_front()?;
            let Some(change) = pending.changes.remove(&key) else { continue };
            match change {
                // It came and went between two looks.
                Change { old: None, new: None } => {}
                Change { old: Some(old), new: Some(new) } if old.uid() != new.uid() => {
                    pending.changes.insert(key.clone(), Change { old: None, new: Some(new) });
                    pending.order.push_front(key);
                    return Some(Change { old: Some(old), new: None });
                }
                change => return Some(change),
            }
        }
    }
}

/// A subscription. Several changes of one object between two looks arrive as one, from the state last
/// delivered to the newest.
pub struct Changes<T> {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) kind: PhantomData<fn() -> T>,
}

impl<T: Kind> Changes<T> {
    /// The next change, without waiting.
    pub fn try_next(&mut self) -> Option<Change<Arc<T>>> {
        loop {
            let change = self.mailbox.take()?;
            let change = Change {
                old: change.old.as_ref().and_then(super::reader::decoded),
                new: change.new.as_ref().and_then(super::reader::decoded),
            };
            if change.old.is_some() || change.new.is_some() {
                return Some(change);
            }
        }
    }

    /// The next change.
    pub async fn next(&mut self) -> Change<Arc<T>> {
        loop {
            if let Some(change) = self.try_next() {
                return change;
            }
            self.mailbox.notify.notified().await;
        }
    }
}
