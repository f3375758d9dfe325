//! Node IPAM: a prefix of the cluster's pod addresses for every node (`spec.podCIDR`).
//! Source: <https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller>

pub(crate) mod plan;

use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::{EventType, Key, Next, Queue};
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use serde_json::json;

use crate::common::{Context, trigger};
use plan::Blocks;

/// Runs the controller for as long as the component lives; `cluster_cidr` is an IPv4 prefix.
pub(crate) async fn run(context: Context, cluster_cidr: Arc<str>) {
    let nodes = context.informers.of::<Node>();
    let queue = Queue::<Key>::new(context.env.clone(), "nodeipam");
    trigger::on_itself(&nodes, &queue);
    let blocks = Arc::new(Mutex::new(Blocks::of(&cluster_cidr)));
    let counted = blocks.clone();
    // Kept by changes: thousands of nodes that come at once are not looked through for each of them.
    nodes.on_change(move |change| {
        let cidr = |node: &Node| node.spec.as_ref()?.pod_cidr.clone();
        let mut blocks = counted.lock();
        if let Some(cidr) = change.old.as_deref().and_then(cidr) {
            blocks.remove(&cidr);
        }
        if let Some(cidr) = change.new.as_deref().and_then(cidr) {
            blocks.add(&cidr);
        }
    });
    nodes.synced().await;
    let shell = Arc::new((context, nodes, blocks));
    queue
        .run(1, move |key| {
            let shell = shell.clone();
            async move {
                let (context, nodes, blocks) = &*shell;
                let Some(node) = nodes.at(&key) else { return Ok(Next::Done) };
                if node.spec.as_ref().is_some_and(|spec| spec.pod_cidr.is_some()) {
                    return Ok(Next::Done);
                }
                let free = blocks.lock().free();
                let Some(cidr) = free else {
                    let message = format!("Node {} status is now: CIDRNotAvailable", key.name);
                    context.events.event(&*node, EventType::Normal, "CIDRNotAvailable", message);
                    return Ok(Next::Done);
                };
                let patch = json!({"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}});
                let written = context.client.patch::<Node>("", &key.name, PatchKind::Strategic, patch).await;
                match written {
                    Ok(written) => {
                        nodes.wait_until_seen_object(&written).await;
                        Ok(Next::Done)
                    }
                    Err(error) if error.is_not_found() => Ok(Next::Done),
                    Err(error) => Err(error),
                }
            }
        })
        .await;
}
