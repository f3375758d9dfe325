//! What an informer holds: objects in the store's order, with indexes.

use std::collections::{BTreeMap, BTreeSet};

use cox_api::Object;

use crate::kind::Key;

type Index = BTreeMap<Box<str>, BTreeSet<Key>>;

/// Objects by place, with indexes by uid, owner and node.
#[derive(Default)]
pub(super) struct State {
    objects: BTreeMap<Key, Object>,
    by_uid: BTreeMap<Box<str>, Key>,
    by_owner: Index,
    by_node: Index,
}

impl State {
    pub(super) fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Object> {
        self.objects
            .range(Key::new(namespace, "")..)
            .take_while(move |(key, _)| *key.namespace == *namespace)
            .map(|(_, object)| object)
    }

    pub(super) fn by_uid(&self, uid: &str) -> Option<&Object> {
        self.objects.get(self.by_uid.get(uid)?)
    }

    pub(super) fn owned_by(&self, uid: &str) -> impl Iterator<Item = &Object> {
        self.by_owner.get(uid).into_iter().flatten().filter_map(|key| self.objects.get(key))
    }

    pub(super) fn on_node(&self, node: &str) -> impl Iterator<Item = &Object> {
        self.by_node.get(node).into_iter().flatten().filter_map(|key| self.objects.get(key))
    }

    /// Puts in an object; brings what was there before.
    pub(super) fn insert(&mut self, object: Object) -> Option<Object> {
        let key = Key::new(object.namespace(), object.name());
        let old = self.remove(&key);
        let header = object.header();
        if !header.uid.is_empty() {
            self.by_uid.insert(header.uid.clone(), key.clone());
        }
        for owner in &header.owners {
            self.by_owner.entry(owner.uid.clone()).or_default().insert(key.clone());
        }
        if let Some(node) = node_of(&object) {
            self.by_node.entry(node.into()).or_default().insert(key.clone());
        }
        self.objects.insert(key, object);
        old
    }

    /// Takes out an object.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Object> {
        let old = self.objects.remove(key)?;
        if self.by_uid.get(old.uid()).is_some_and(|holder| holder == key) {
            self.by_uid.remove(old.uid());
        }
        for owner in &old.header().owners {
            unindex(&mut self.by_owner, &owner.uid, key);
        }
        if let Some(node) = node_of(&old) {
            unindex(&mut self.by_node, node, key);
        }
        Some(old)
    }
}

fn node_of(object: &Object) -> Option<&str> {
    object.header().field("spec.nodeName").filter(|node| !node.is_empty())
}

fn unindex(index: &mut Index, value: &str, key: &Key) {
    if let Some(keys) = index.get_mut(value) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(value);
        }
    }
}
