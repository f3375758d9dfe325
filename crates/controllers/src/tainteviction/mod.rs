//! Taint eviction: pods leave nodes whose NoExecute taints they don't tolerate, or no longer.

pub(crate) mod plan;

use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::{DeleteOptions, EventType, Key, Next, Queue, Reader, Result};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;

use crate::common::{Context, trigger};
use plan::Verdict;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let nodes = context.informers.of::<Node>();
    let pods = context.informers.of::<Pod>();
    let queue = Queue::<Key>::new(context.env.clone(), "tainteviction");
    trigger::on_itself(&pods, &queue);
    let (by_node, on_node) = (queue.clone(), pods.clone());
    nodes.on_change(move |change| {
        let taints = |node: &Option<Arc<Node>>| {
            node.as_ref().and_then(|node| node.spec.as_ref()?.taints.clone()).unwrap_or_default()
        };
        if taints(&change.old) != taints(&change.new) {
            let name = change.latest().metadata.name.clone().unwrap_or_default();
            on_node.on_node(&name).iter().for_each(|pod| by_node.add(Key::of(&**pod)));
        }
    });
    nodes.synced().await;
    pods.synced().await;
    let shell = Arc::new((context, nodes, pods));
    queue
        .run(8, move |key| {
            let shell = shell.clone();
            async move { sync(&shell.0, &shell.1, &shell.2, &key).await }
        })
        .await;
}

async fn sync(context: &Context, nodes: &Reader<Node>, pods: &Reader<Pod>, key: &Key) -> Result<Next> {
    let Some(pod) = pods.at(key) else { return Ok(Next::Done) };
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
    let Some(node) = nodes.get("", node) else { return Ok(Next::Done) };
    match plan::plan(&pod, &node, context.env.now()) {
        Verdict::Stays => Ok(Next::Done),
        Verdict::LeavesAfter(time) => Ok(Next::After(time)),
        Verdict::Leaves => evict(context, &pod, key).await,
    }
}

async fn evict(context: &Context, pod: &Pod, key: &Key) -> Result<Next> {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let message = "Taint manager: deleting due to NoExecute taint";
    let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": message,
        "lastTransitionTime": context.env.now_rfc3339(), "observedGeneration": pod.metadata.generation});
    let patch = json!({"metadata": {"uid": uid}, "status": {"conditions": [condition]}});
    let gone = |error: &cox_client::Error| error.is_not_found() || error.is_conflict();
    match context.client.patch_status::<Pod>(&key.namespace, &key.name, PatchKind::Strategic, patch).await {
        Ok(_) => {}
        Err(error) if gone(&error) => return Ok(Next::Done),
        Err(error) => return Err(error),
    }
    context.events.event(
        pod,
        EventType::Normal,
        "TaintManagerEviction",
        format!("Marking for deletion Pod {key}"),
    );
    match context.client.delete::<Pod>(&key.namespace, &key.name, &DeleteOptions::uid(uid)).await {
        Ok(_) => Ok(Next::Done),
        Err(error) if gone(&error) => Ok(Next::Done),
        Err(error) => Err(error),
    }
}
