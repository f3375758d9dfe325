//! Pod GC: removes pods that nobody needs any more.

pub(crate) mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cox_api::PatchKind;
use cox_client::{DeleteOptions, Reader, Result};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;

use crate::common::Context;

/// How often it looks. Source: upstream's `gcCheckPeriod`.
const PERIOD: Duration = Duration::from_secs(20);
/// How long a node has to be gone before its pods go. Source: upstream's `quarantineTime`.
const QUARANTINE: Duration = Duration::from_secs(40);

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context, threshold: usize) {
    let nodes = context.informers.of::<Node>();
    let pods = context.informers.of::<Pod>();
    nodes.synced().await;
    pods.synced().await;
    let mut missing: BTreeMap<String, Duration> = BTreeMap::new();
    loop {
        if let Err(error) = round(&context, &nodes, &pods, threshold, &mut missing).await {
            tracing::warn!(%error, "pod garbage collection");
        }
        context.env.sleep(PERIOD).await;
    }
}

async fn round(
    context: &Context,
    nodes: &Reader<Node>,
    pods: &Reader<Pod>,
    threshold: usize,
    missing: &mut BTreeMap<String, Duration>,
) -> Result<()> {
    let now = context.env.elapsed();
    let all = pods.list();
    let present: BTreeSet<String> =
        nodes.list().iter().filter_map(|node| node.metadata.name.clone()).collect();
    let named: BTreeSet<String> = all
        .iter()
        .filter_map(|pod| pod.spec.as_ref()?.node_name.clone())
        .filter(|node| !node.is_empty())
        .collect();
    missing.retain(|node, _| named.contains(node) && !present.contains(node));
    // A node that was missed only now may be one that this cache hasn't seen yet.
    let mut known = present.clone();
    for node in named.difference(&present) {
        let since = *missing.entry(node.clone()).or_insert(now);
        if now.saturating_sub(since) < QUARANTINE {
            known.insert(node.clone());
        }
    }
    for goes in plan::plan(&all, &known, threshold) {
        let metadata = &goes.pod.metadata;
        let (namespace, name) =
            (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
        let uid = metadata.uid.as_deref().unwrap_or_default();
        let over = matches!(
            goes.pod.status.as_ref().and_then(|status| status.phase.as_deref()),
            Some("Succeeded" | "Failed")
        );
        if let Some(message) = goes.disrupted
            && !over
        {
            let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": message,
                "lastTransitionTime": context.env.now_rfc3339(), "observedGeneration": metadata.generation});
            let patch =
                json!({"metadata": {"uid": uid}, "status": {"phase": "Failed", "conditions": [condition]}});
            match context.client.patch_status::<Pod>(namespace, name, PatchKind::Strategic, patch).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() || error.is_conflict() => continue,
                Err(error) => return Err(error),
            }
        }
        match context
            .client
            .delete::<Pod>(namespace, name, &DeleteOptions::uid(uid).grace_period_seconds(0))
            .await
        {
            Ok(_) => {}
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
