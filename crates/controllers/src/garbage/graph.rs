//! Who depends on whom, read from the caches of every kind.

use std::sync::Arc;

use cox_api::kind::KindInfo;
use cox_api::{Object, Resource};
use cox_client::{Informed, Scope, SharedInformers};
use parking_lot::RwLock;
use serde::Deserialize;

use super::plan::Metadata;
use crate::common::resources;

/// An object somewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    /// The place of its kind in [`Graph::kinds`].
    pub(super) kind: usize,
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
    pub(super) uid: Box<str>,
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} ({})", self.namespace, self.name, self.uid)
    }
}

/// The caches of every kind that can be collected. Kinds keep their places; those of definitions are added when they
/// are served, and are empty when they aren't any more.
#[derive(Clone)]
pub(crate) struct Graph(Arc<RwLock<Vec<(&'static KindInfo, Informed)>>>);

impl Graph {
    pub(super) fn new(informers: &SharedInformers) -> Graph {
        let all = resources::deletable()
            // Events come and go by themselves and own nothing.
            .filter(|info| info.kind != "Event")
            .map(|info| (info, informers.resource(resources::resource(info), Scope::everything())))
            .collect();
        Graph(Arc::new(RwLock::new(all)))
    }

    pub(super) fn kinds(&self) -> Vec<(usize, Informed)> {
        self.0.read().iter().map(|(_, informed)| informed.clone()).enumerate().collect()
    }

    /// Takes in a kind; its place.
    pub(super) fn add(&self, info: &'static KindInfo, informed: Informed) -> usize {
        let mut kinds = self.0.write();
        let same = |known: &KindInfo| (known.group, known.kind) == (info.group, info.kind);
        match kinds.iter().position(|(known, _)| same(known)) {
            Some(at) => {
                kinds[at] = (info, informed);
                at
            }
            None => {
                kinds.push((info, informed));
                kinds.len() - 1
            }
        }
    }

    pub(super) fn resource(&self, node: &Node) -> Resource {
        resources::resource(self.info(node.kind))
    }

    pub(super) fn info(&self, kind: usize) -> &'static KindInfo {
        self.0.read()[kind].0
    }

    pub(super) fn informed(&self, kind: usize) -> Informed {
        self.0.read()[kind].1.clone()
    }

    /// The kind that a reference names, where it is known here; another version of the same kind serves as well.
    pub(super) fn kind_of(&self, api_version: &str, kind: &str) -> Option<usize> {
        let (group, _) = api_version.split_once('/').unwrap_or(("", api_version));
        self.0.read().iter().position(|(known, _)| known.group == group && known.kind == kind)
    }

    /// The object of a uid, whatever its kind.
    pub(super) fn find(&self, uid: &str) -> Option<(Node, Object)> {
        self.0.read().iter().enumerate().find_map(|(kind, (_, informed))| {
            let object = informed.by_uid(uid)?;
            Some((node(kind, &object), object))
        })
    }

    /// Everything with an owner reference to this uid.
    pub(super) fn dependents(&self, uid: &str) -> Vec<(Node, Object)> {
        self.0
            .read()
            .iter()
            .enumerate()
            .flat_map(|(kind, (_, informed))| {
                informed.owned_by(uid).into_iter().map(move |object| (node(kind, &object), object))
            })
            .collect()
    }
}

pub(super) fn node(kind: usize, object: &Object) -> Node {
    Node { kind, namespace: object.namespace().into(), name: object.name().into(), uid: object.uid().into() }
}

/// Reads `metadata`; nothing else is decoded and nothing is kept with the object.
pub(super) fn metadata(object: &Object) -> Metadata {
    #[derive(Deserialize)]
    struct Shell {
        metadata: Metadata,
    }
    serde_json::from_slice::<Shell>(&object.json()).map(|shell| shell.metadata).unwrap_or_default()
}

/// Whether the object is being deleted, without decoding one that can't be.
pub(super) fn may_be_deleted(object: &Object) -> bool {
    const WORD: &[u8] = b"\"deletionTimestamp\"";
    let (_, tail) = object.parts();
    memchr::memmem::find(tail, WORD).is_some()
}
