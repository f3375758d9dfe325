//! Who depends on whom, read from the caches of every kind.

use std::sync::Arc;

use cox_api::kind::KindInfo;
use cox_api::{Object, Resource};
use cox_client::{Informed, Scope, SharedInformers};
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

/// The caches of every kind that can be collected.
#[derive(Clone)]
pub(crate) struct Graph(Arc<Vec<(&'static KindInfo, Informed)>>);

impl Graph {
    pub(super) fn new(informers: &SharedInformers) -> Graph {
        let all = resources::deletable()
            // Events come and go by themselves and own nothing.
            .filter(|info| info.kind != "Event")
            .map(|info| (info, informers.resource(resources::resource(info), Scope::everything())))
            .collect();
        Graph(Arc::new(all))
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = (usize, &'static KindInfo, &Informed)> {
        self.0.iter().enumerate().map(|(at, (info, informed))| (at, *info, informed))
    }

    pub(super) fn resource(&self, node: &Node) -> Resource {
        resources::resource(self.0[node.kind].0)
    }

    pub(super) fn info(&self, kind: usize) -> &'static KindInfo {
        self.0[kind].0
    }

    pub(super) fn informed(&self, kind: usize) -> &Informed {
        &self.0[kind].1
    }

    /// The kind that a reference names, where it is known here.
    pub(super) fn kind_of(&self, api_version: &str, kind: &str) -> Option<usize> {
        let info = resources::of_reference(api_version, kind)?;
        self.0.iter().position(|(known, _)| known.group == info.group && known.kind == info.kind)
    }

    /// The object of a uid, whatever its kind.
    pub(super) fn find(&self, uid: &str) -> Option<(Node, Object)> {
        self.kinds().find_map(|(kind, _, informed)| {
            let object = informed.by_uid(uid)?;
            Some((node(kind, &object), object))
        })
    }

    /// Everything with an owner reference to this uid.
    pub(super) fn dependents(&self, uid: &str) -> Vec<(Node, Object)> {
        self.kinds()
            .flat_map(|(kind, _, informed)| {
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
