//! An informer seen through a type.

use std::marker::PhantomData;
use std::sync::Arc;

use cox_api::Object;

use super::{Change, Changes, Informed};
use crate::kind::{Key, Kind};
use crate::labels::Selector;

/// The cache of a kind. Cloning shares it; objects are decoded once, when first asked for.
pub struct Reader<T> {
    pub(super) informed: Informed,
    pub(super) kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Reader { informed: self.informed.clone(), kind: PhantomData }
    }
}

impl<T: Kind> Reader<T> {
    /// The informer below.
    pub fn informed(&self) -> &Informed {
        &self.informed
    }

    /// An object by place (an empty namespace for kinds without).
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        decoded(&self.informed.get(namespace, name)?)
    }

    /// An object by place.
    pub fn at(&self, key: &Key) -> Option<Arc<T>> {
        self.get(&key.namespace, &key.name)
    }

    /// An object by uid.
    pub fn by_uid(&self, uid: &str) -> Option<Arc<T>> {
        decoded(&self.informed.by_uid(uid)?)
    }

    /// Every object, by namespace and name.
    pub fn list(&self) -> Vec<Arc<T>> {
        all(self.informed.list())
    }

    /// The objects of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<T>> {
        all(self.informed.in_namespace(namespace))
    }

    /// The objects of a namespace that a selector matches.
    pub fn selected(&self, namespace: &str, selector: &Selector) -> Vec<Arc<T>> {
        let state = self.informed.0.state.read();
        let matching: Vec<Object> =
            state.in_namespace(namespace).filter(|object| selector.matches(*object)).cloned().collect();
        drop(state);
        all(matching)
    }

    /// Objects with an owner reference to this uid.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<T>> {
        all(self.informed.owned_by(uid))
    }

    /// Objects whose `spec.nodeName` is this.
    pub fn on_node(&self, node: &str) -> Vec<Arc<T>> {
        all(self.informed.on_node(node))
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.informed.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.informed.is_empty()
    }

    /// Whether the first list has been seen.
    pub fn is_synced(&self) -> bool {
        self.informed.is_synced()
    }

    /// The revision seen so far.
    pub fn revision(&self) -> u64 {
        self.informed.revision()
    }

    /// Waits until the first list has been seen.
    pub async fn synced(&self) {
        self.informed.synced().await;
    }

    /// Waits until the cache holds whatever was written up to `revision`; see [`Informed::wait_until_seen`].
    pub async fn wait_until_seen(&self, revision: u64) {
        self.informed.wait_until_seen(revision).await;
    }

    /// Waits until this version of an object, or a later one, or its end has been seen.
    pub async fn wait_until_seen_object(&self, written: &T) {
        self.wait_until_seen(crate::kind::revision_of(written)).await;
    }

    /// Waits until an object (or its absence) is as wanted.
    pub async fn wait_for(&self, key: &Key, mut wanted: impl FnMut(Option<&T>) -> bool) {
        self.informed.wait_for(key, |object| wanted(object.and_then(decoded::<T>).as_deref())).await;
    }

    /// Waits until an object of this uid is gone or marked for deletion in the cache: what a deletion brings.
    pub async fn wait_until_deleted(&self, key: &Key, uid: &str) {
        self.wait_for(key, |object| {
            object.is_none_or(|object| {
                let metadata = object.metadata();
                metadata.uid.as_deref() != Some(uid) || metadata.deletion_timestamp.is_some()
            })
        })
        .await;
    }

    /// Calls `handler` for every object that is there and every change from now on; see [`Informed::on_change`].
    pub fn on_change(&self, handler: impl Fn(&Change<Arc<T>>) + Send + Sync + 'static) {
        self.informed.on_change(move |old, new| {
            let change = Change { old: old.and_then(decoded), new: new.and_then(decoded) };
            if change.old.is_some() || change.new.is_some() {
                handler(&change);
            }
        });
    }

    /// A subscription that starts with every object that is there. Changes of one object between two looks are
    /// joined.
    pub fn subscribe(&self) -> Changes<T> {
        Changes { mailbox: self.informed.subscribe(), kind: PhantomData }
    }
}

/// The typed form; an object that doesn't fit its type (another version's) is left out, loudly.
pub(super) fn decoded<T: Kind>(object: &Object) -> Option<Arc<T>> {
    object
        .typed()
        .inspect_err(|error| {
            tracing::error!(kind = T::KIND, namespace = object.namespace(), name = object.name(), %error,
                "object left out: it does not fit its type");
        })
        .ok()
}

fn all<T: Kind>(objects: Vec<Object>) -> Vec<Arc<T>> {
    objects.iter().filter_map(decoded).collect()
}
