//! The garbage collector: what has lost its owners goes; what is deleted in the foreground waits for its
//! dependents; what is deleted with orphaning lets them go.

mod graph;
pub(crate) mod plan;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use cox_api::{Object, PatchKind};
use cox_client::{DeleteOptions, Error, EventType, Informed, Next, Queue, Result};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::common::context::Context;
use crate::common::{custom_kinds, resources};
use graph::{Graph, Node, may_be_deleted, metadata, node};
use plan::{FOREGROUND, Metadata, ORPHAN, OwnerState, Verdict, judge};

/// Objects looked at together, as upstream's `--concurrent-gc-syncs`.
const WORKERS: usize = 20;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let graph = Graph::new(&context.informers);
    let queue = Queue::<Node>::new(context.env.clone(), "garbage");
    for (kind, informed) in graph.kinds() {
        listen(&graph, &queue, kind, &informed);
    }
    for (_, informed) in graph.kinds() {
        informed.synced().await;
    }
    let (known, woken) = (graph.clone(), queue.clone());
    let come = move |info, informed: Informed| {
        let kind = known.add(info, informed.clone());
        listen(&known, &woken, kind, &informed);
    };
    custom_kinds::follow(&context.informers, come, |_| {});
    // What appeared before its owner's kind was listed was queued already: looking again costs nothing.
    let collector = Arc::new(Collector { context, graph });
    queue
        .run(WORKERS, move |node| {
            let collector = collector.clone();
            async move { collector.sync(&node).await }
        })
        .await;
}

fn listen(graph: &Graph, queue: &Queue<Node>, kind: usize, informed: &Informed) {
    let (graph, queue) = (graph.clone(), queue.clone());
    informed.on_change(move |old, new| on_change(&graph, &queue, kind, old, new));
}

fn on_change(graph: &Graph, queue: &Queue<Node>, kind: usize, old: Option<&Object>, new: Option<&Object>) {
    let Some(new) = new else {
        let Some(old) = old else { return };
        for (dependent, _) in graph.dependents(old.uid()) {
            queue.add(dependent);
        }
        // Owners may have waited for it.
        wake_waiting_owners(graph, queue, old);
        return;
    };
    let owners_changed = old.is_none_or(|old| old.header().owners != new.header().owners);
    if owners_changed {
        let absent = new.header().owners.iter().any(|owner| graph.find(&owner.uid).is_none());
        // Owners that wait for their dependents take this one along as well.
        let waits = || {
            new.header()
                .owners
                .iter()
                .any(|owner| graph.find(&owner.uid).is_some_and(|(_, owner)| may_be_deleted(&owner)))
        };
        if absent || waits() {
            queue.add(node(kind, new));
        }
    }
    if let Some(old) = old {
        // A dependent that was let go, or blocks no more.
        wake_waiting_owners(graph, queue, old);
    }
    if may_be_deleted(new) {
        let now = metadata(new);
        if now.waits_for_dependents() || now.orphans_dependents() {
            queue.add(node(kind, new));
        }
    }
}

fn wake_waiting_owners(graph: &Graph, queue: &Queue<Node>, dependent: &Object) {
    for owner in &dependent.header().owners {
        if let Some((above, object)) = graph.find(&owner.uid)
            && may_be_deleted(&object)
            && metadata(&object).waits_for_dependents()
        {
            queue.add(above);
        }
    }
}

struct Collector {
    context: Context,
    graph: Graph,
}

impl Collector {
    async fn sync(&self, node: &Node) -> Result<Next> {
        let client = &self.context.client;
        let resource = self.graph.resource(node);
        // Asked for, not looked up: what is decided here can't be taken back.
        let object = match client.get_object(&resource, &node.namespace, &node.name).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(Next::Done),
            Err(error) => return Err(error),
        };
        if object.uid() != &*node.uid {
            return Ok(Next::Done);
        }
        let found = metadata(&object);
        if found.orphans_dependents() {
            return self.orphan(node, &found).await;
        }
        if found.waits_for_dependents() {
            return self.wait_for_dependents(node, &found).await;
        }
        if found.is_deleted() || found.owner_references.is_empty() {
            return Ok(Next::Done);
        }
        let mut states = Vec::new();
        for reference in &found.owner_references {
            states.push(self.state_of(node, reference).await?);
        }
        let dependents = self.graph.dependents(&node.uid);
        let waiting: Vec<&(Node, Object)> =
            dependents.iter().filter(|(_, object)| metadata(object).waits_for_dependents()).collect();
        match judge(&found, &states, !dependents.is_empty(), !waiting.is_empty()) {
            Verdict::Keep => {}
            Verdict::Unlink(uids) => self.unlink(node, &found, &uids).await?,
            Verdict::Delete { propagation, unblock } => {
                if unblock {
                    self.unblock(node, &found).await?;
                }
                // With the version only where nothing was written since.
                let version = (!unblock).then(|| found.resource_version.clone());
                let options = DeleteOptions {
                    resource_version: version,
                    ..DeleteOptions::uid(&found.uid).propagation(propagation)
                };
                match client.delete_object(&resource, &node.namespace, &node.name, &options).await {
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Next::Done)
    }

    /// An owner as it really is. An owner in a namespace counts only for dependents in the same namespace.
    async fn state_of(&self, node: &Node, reference: &OwnerReference) -> Result<OwnerState> {
        let Some(kind) = self.graph.kind_of(&reference.api_version, &reference.kind) else {
            // Nothing is known of it, so nothing is deleted.
            return Err(Error::Other(format!(
                "no matches for kind {:?} in version {:?}",
                reference.kind, reference.api_version
            )));
        };
        let info = self.graph.info(kind);
        let namespace = if resources::is_namespaced(info) {
            if node.namespace.is_empty() {
                // Invalid, and upstream never deletes such objects either.
                self.tell_invalid(node, reference);
                return Ok(OwnerState::Solid);
            }
            &*node.namespace
        } else {
            ""
        };
        let object = match self
            .context
            .client
            .get_object(&resources::resource(info), namespace, &reference.name)
            .await
        {
            Ok(object) => object,
            Err(error) if error.is_not_found() => {
                if self.graph.informed(kind).by_uid(&reference.uid).is_some() {
                    // There is such an owner, but elsewhere.
                    self.tell_invalid(node, reference);
                }
                return Ok(OwnerState::Absent);
            }
            Err(error) => return Err(error),
        };
        Ok(if object.uid() != reference.uid {
            OwnerState::Absent
        } else if metadata(&object).waits_for_dependents() {
            OwnerState::Waiting
        } else {
            OwnerState::Solid
        })
    }

    fn tell_invalid(&self, node: &Node, reference: &OwnerReference) {
        let info = self.graph.info(node.kind);
        let about = ObjectReference {
            api_version: Some(info.api_version()),
            kind: Some(info.kind.to_owned()),
            namespace: Some(node.namespace.to_string()),
            name: Some(node.name.to_string()),
            uid: Some(node.uid.to_string()),
            ..ObjectReference::default()
        };
        let shown = format!(
            "{}/{}, namespace: {}, name: {}, uid: {}",
            reference.api_version, reference.kind, node.namespace, reference.name, reference.uid
        );
        let message = format!("ownerRef [{shown}] does not exist in namespace {:?}", node.namespace);
        self.context.events.event_about(about, EventType::Warning, "OwnerRefInvalidNamespace", message);
    }

    async fn patch(&self, node: &Node, kind: PatchKind, patch: Value) -> Result<()> {
        let resource = self.graph.resource(node);
        let patched =
            self.context.client.patch_object(&resource, &node.namespace, &node.name, kind, patch).await;
        match patched {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes owner references off; by a merge of the whole list, which every kind understands, custom ones too.
    async fn unlink(&self, node: &Node, found: &Metadata, uids: &[String]) -> Result<()> {
        let left: Vec<&OwnerReference> =
            found.owner_references.iter().filter(|owner| !uids.contains(&owner.uid)).collect();
        let patch = json!({"metadata": {"uid": found.uid, "resourceVersion": found.resource_version,
            "ownerReferences": left}});
        self.patch(node, PatchKind::Merge, patch).await
    }

    /// A circle of owners that wait for each other would never end: nobody waits for this one any more.
    async fn unblock(&self, node: &Node, found: &Metadata) -> Result<()> {
        let mut owners = found.owner_references.clone();
        for owner in &mut owners {
            owner.block_owner_deletion = Some(false);
        }
        let patch = json!({"metadata": {"uid": found.uid, "resourceVersion": found.resource_version,
            "ownerReferences": owners}});
        self.patch(node, PatchKind::Merge, patch).await
    }

    async fn remove_finalizer(&self, node: &Node, found: &Metadata, finalizer: &str) -> Result<()> {
        let left: Vec<&String> = found.finalizers.iter().filter(|held| *held != finalizer).collect();
        let patch = json!({"metadata": {"uid": found.uid, "resourceVersion": found.resource_version,
            "finalizers": left}});
        self.patch(node, PatchKind::Merge, patch).await
    }

    async fn wait_for_dependents(&self, node: &Node, found: &Metadata) -> Result<Next> {
        let dependents = self.graph.dependents(&node.uid);
        let blocking = dependents.iter().any(|(_, object)| metadata(object).blocks(&node.uid));
        if !blocking {
            self.remove_finalizer(node, found, FOREGROUND).await?;
            return Ok(Next::Done);
        }
        for (dependent, object) in dependents {
            if !metadata(&object).waits_for_dependents() {
                self.take_along(&dependent).await?;
            }
        }
        // The last blocking dependent's end wakes this one; the pause is for answers that get lost.
        Ok(Next::After(Duration::from_secs(30)))
    }

    async fn take_along(&self, dependent: &Node) -> Result<()> {
        Box::pin(self.sync(dependent)).await.map(|_| ())
    }

    async fn orphan(&self, node: &Node, found: &Metadata) -> Result<Next> {
        for (dependent, object) in self.graph.dependents(&node.uid) {
            let held = metadata(&object);
            match self.unlink(&dependent, &held, std::slice::from_ref(&found.uid)).await {
                Ok(()) => {}
                // A newer version: read it and try again.
                Err(error) if error.is_conflict() => {
                    let resource = self.graph.resource(&dependent);
                    let fresh = self
                        .context
                        .client
                        .get_object(&resource, &dependent.namespace, &dependent.name)
                        .await;
                    if let Ok(fresh) = fresh
                        && fresh.uid() == &*dependent.uid
                    {
                        self.unlink(&dependent, &metadata(&fresh), std::slice::from_ref(&found.uid)).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.remove_finalizer(node, found, ORPHAN).await?;
        Ok(Next::Done)
    }
}
