//! The garbage collector: what has no owner left goes; deletions in the foreground wait for it, orphaning ones cut
//! it off.

mod graph;
mod plan;

use std::sync::Arc;

use cox_api::{Object, PatchKind};
use cox_client::{DeleteOptions, Next, Propagation, Queue, Result};
use serde_json::{Value, json};

use crate::common::Context;
use graph::{Graph, Item};
use plan::{FOREGROUND, ORPHAN, Owner, Verdict};

/// As upstream's `--concurrent-gc-syncs`.
const WORKERS: usize = 20;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let graph = Arc::new(Graph::new(&context.informers));
    let queue = Queue::<Item>::new(context.env.clone(), "garbage");
    for (index, cached) in graph.caches.iter().enumerate() {
        let (queue, graph) = (queue.clone(), Arc::downgrade(&graph));
        cached.informed.on_change(move |old, new| match (old, new) {
            (_, Some(new)) => {
                if !new.header().owners.is_empty() || has_gc_finalizer(new) {
                    queue.add(Item::of(index, new));
                }
                // An owner that waits for its dependents looks again when one of them changes.
                if let (Some(old), Some(graph)) = (old, graph.upgrade()) {
                    look_at_owners(&graph, old, &queue);
                }
            }
            (Some(old), None) => {
                let Some(graph) = graph.upgrade() else { return };
                for (item, _) in graph.dependents(old.uid()) {
                    queue.add(item);
                }
                look_at_owners(&graph, old, &queue);
            }
            (None, None) => {}
        });
    }
    for cached in &graph.caches {
        cached.informed.synced().await;
    }
    let shell = Arc::new((context, graph));
    queue
        .run(WORKERS, move |item| {
            let shell = shell.clone();
            async move { sync(&shell.0, &shell.1, &item).await }
        })
        .await;
}

/// Whether the object has one of the collector's finalizers: looked for in the bytes, few have them.
fn has_gc_finalizer(object: &Object) -> bool {
    let tail = object.parts().1;
    let contains = |word: &[u8]| tail.windows(word.len()).any(|window| window == word);
    contains(b"\"deletionTimestamp\"") && (contains(b"\"foregroundDeletion\"") || contains(b"\"orphan\""))
}

fn look_at_owners(graph: &Graph, object: &Object, queue: &Queue<Item>) {
    for owner in &object.header().owners {
        let found = graph.caches.iter().enumerate().find_map(|(index, cached)| Some((index, cached.informed.by_uid(&owner.uid)?)));
        if let Some((index, owner)) = found
            && has_gc_finalizer(&owner)
        {
            queue.add(Item::of(index, &owner));
        }
    }
}

async fn sync(context: &Context, graph: &Graph, item: &Item) -> Result<Next> {
    let Some(object) = graph.get(item) else { return Ok(Next::Done) };
    let value = object.value();
    if !value["metadata"]["deletionTimestamp"].is_null() {
        return end(context, graph, item, &object, &value).await;
    }
    let references = value["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let mut owners = Vec::new();
    for reference in &references {
        let uid = reference["uid"].as_str().unwrap_or_default().to_owned();
        owners.push((uid, owner(context, graph, reference, object.namespace()).await?));
    }
    let has_dependents = !graph.dependents(object.uid()).is_empty();
    match plan::plan(&value, &owners, has_dependents) {
        Verdict::Keep => Ok(Next::Done),
        Verdict::Release(gone) => {
            release(context, graph, item, &object, &value, &gone).await?;
            Ok(Next::Done)
        }
        Verdict::Delete(policy) => {
            let propagation = match policy {
                "Foreground" => Propagation::Foreground,
                "Orphan" => Propagation::Orphan,
                _ => Propagation::Background,
            };
            let options = DeleteOptions::uid(object.uid()).propagation(propagation);
            let resource = graph.caches[item.cache].informed.resource();
            match context.client.delete_object(resource, &item.namespace, &item.name, &options).await {
                Ok(_) => Ok(Next::Done),
                Err(error) if error.is_not_found() || error.is_conflict() => Ok(Next::Done),
                Err(error) => Err(error),
            }
        }
    }
}

/// What is known of an owner: by the caches, and where they don't have it by asking.
async fn owner(context: &Context, graph: &Graph, reference: &Value, namespace: &str) -> Result<Owner> {
    let uid = reference["uid"].as_str().unwrap_or_default();
    let judge = |object: &Object| {
        // An owner lives in the same namespace or in none.
        let reachable = object.namespace().is_empty() || object.namespace() == namespace;
        if object.uid() != uid || !reachable {
            return Owner::Absent;
        }
        if !has_gc_finalizer(object) {
            return Owner::Solid;
        }
        if plan::finalizers(&object.value()).contains(&FOREGROUND) { Owner::Waiting } else { Owner::Solid }
    };
    if let Some(known) = graph.by_uid(uid) {
        return Ok(judge(&known));
    }
    let Some(resource) = graph.resource_of(reference) else {
        // A kind that isn't served: nobody can tell, so it stays.
        return Ok(Owner::Solid);
    };
    let name = reference["name"].as_str().unwrap_or_default();
    let scope = cox_api::kinds::by_resource(&resource.group, &resource.version, &resource.plural).map(|kind| kind.info().scope);
    let namespace = if scope == Some(cox_api::Scope::Cluster) { "" } else { namespace };
    match context.client.get_object(resource, namespace, name).await {
        Ok(found) => Ok(judge(&found)),
        Err(error) if error.is_not_found() => Ok(Owner::Absent),
        Err(error) => Err(error),
    }
}

/// Removes references to owners from an object.
async fn release(context: &Context, graph: &Graph, item: &Item, object: &Object, value: &Value, gone: &[String]) -> Result<()> {
    let references = value["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let left: Vec<Value> = references
        .into_iter()
        .filter(|reference| !gone.iter().any(|uid| reference["uid"] == **uid))
        .collect();
    let left = if left.is_empty() { Value::Null } else { Value::Array(left) };
    let patch = json!({"metadata": {"uid": object.uid(), "resourceVersion": object.revision().to_string(), "ownerReferences": left}});
    write(context, graph, item, patch).await
}

async fn write(context: &Context, graph: &Graph, item: &Item, patch: Value) -> Result<()> {
    let resource = graph.caches[item.cache].informed.resource();
    match context.client.patch_object(resource, &item.namespace, &item.name, PatchKind::Merge, patch).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// An object that is being deleted and has finalizers of ours.
async fn end(context: &Context, graph: &Graph, item: &Item, object: &Object, value: &Value) -> Result<Next> {
    let finalizers = plan::finalizers(value);
    let without = |name: &str| {
        let left: Vec<&str> = finalizers.iter().copied().filter(|finalizer| *finalizer != name).collect();
        let left = if left.is_empty() { Value::Null } else { json!(left) };
        json!({"metadata": {"uid": object.uid(), "resourceVersion": object.revision().to_string(), "finalizers": left}})
    };
    if finalizers.contains(&ORPHAN) {
        for (dependent, found) in graph.dependents(object.uid()) {
            release(context, graph, &dependent, &found, &found.value(), &[object.uid().to_owned()]).await?;
        }
        write(context, graph, item, without(ORPHAN)).await?;
        return Ok(Next::Done);
    }
    if finalizers.contains(&FOREGROUND) {
        let mut blocking = 0;
        for (dependent, found) in graph.dependents(object.uid()) {
            let references = found.value()["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
            let blocks = references
                .iter()
                .any(|reference| reference["uid"] == *object.uid() && reference["blockOwnerDeletion"] == true);
            blocking += usize::from(blocks);
            // Those that aren't being deleted yet are decided like all others: their owner waits.
            if found.value()["metadata"]["deletionTimestamp"].is_null() {
                Box::pin(sync(context, graph, &dependent)).await?;
            }
        }
        if blocking == 0 {
            write(context, graph, item, without(FOREGROUND)).await?;
        }
    }
    Ok(Next::Done)
}
