//! Node lifecycle: a node that is not heard of becomes Unknown and is tainted; its pods are no longer ready.
//! Source: <https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller>

pub(crate) mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cox_api::PatchKind;
use cox_client::{EventType, Key, Next, Queue, Reader, Result, Scope};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::common::{Context, trigger};
use plan::Heard;

/// Runs the controller for as long as the component lives; `grace` is upstream's `nodeMonitorGracePeriod`.
pub(crate) async fn run(context: Context, grace: Duration) {
    let nodes = context.informers.of::<Node>();
    let leases = context.informers.scoped::<Lease>(Scope::everything().in_namespace("kube-node-lease"));
    let pods = context.informers.of::<Pod>();
    let queue = Queue::<Key>::new(context.env.clone(), "nodelifecycle");
    trigger::on_itself(&nodes, &queue);
    let by_lease = queue.clone();
    leases.on_change(move |change| {
        by_lease.add(Key::new("", change.latest().metadata.name.as_deref().unwrap_or_default()))
    });
    nodes.synced().await;
    leases.synced().await;
    pods.synced().await;
    let shell = Arc::new(Shell { context, nodes, leases, pods, grace, heard: Mutex::default() });
    queue
        .run(4, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

struct Shell {
    context: Context,
    nodes: Reader<Node>,
    leases: Reader<Lease>,
    pods: Reader<Pod>,
    grace: Duration,
    heard: Mutex<BTreeMap<String, Heard>>,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(node) = self.nodes.at(key) else {
            self.heard.lock().remove(&*key.name);
            return Ok(Next::Done);
        };
        let client = &self.context.client;
        let plan = plan::plan(&node, self.silent(&node, key), self.grace, self.context.env.now());
        if let Some(conditions) = &plan.conditions {
            let conditions = serde_json::to_value(conditions).unwrap_or(Value::Null);
            let patch = json!({"status": {"conditions": conditions}});
            client.patch_status::<Node>("", &key.name, PatchKind::Strategic, patch).await?;
        }
        if plan.lost {
            let message = format!("Node {} status is now: NodeNotReady", key.name);
            self.context.events.event(&*node, EventType::Normal, "NodeNotReady", message);
        }
        if let Some(taints) = &plan.taints {
            // All taints are written at once, so what others wrote since is the precondition.
            let patch = json!({"metadata": {"resourceVersion": node.metadata.resource_version},
                "spec": {"taints": serde_json::to_value(taints).unwrap_or(Value::Null)}});
            let written = if plan.conditions.is_some() {
                // The status was just written: look again with it.
                return Ok(Next::After(Duration::from_millis(1)));
            } else {
                client.patch::<Node>("", &key.name, PatchKind::Merge, patch).await?
            };
            self.nodes.wait_until_seen_object(&written).await;
        }
        let unknown = node
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_deref())
            .and_then(|conditions| plan::condition(conditions, "Ready"))
            .is_none_or(|ready| ready.status != "True");
        if plan.lost || unknown {
            self.unready_pods(&key.name).await?;
        }
        Ok(plan.again.map_or(Next::Done, Next::After))
    }

    /// How long nothing was heard of a node, by our own clock: others' clocks are not trusted.
    fn silent(&self, node: &Node, key: &Key) -> Duration {
        let now = self.context.env.elapsed();
        let lease = self.leases.get("kube-node-lease", &key.name);
        let renewed = lease.and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref().map(|time| time.0));
        let conditions =
            node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let beat = plan::condition(conditions, "Ready")
            .and_then(|ready| ready.last_heartbeat_time.as_ref())
            .map(|time| time.0);
        let what = (renewed, beat);
        let mut heard = self.heard.lock();
        let known = heard.entry(key.name.to_string()).or_insert_with(|| Heard { what, at: now });
        if known.what != what {
            *known = Heard { what, at: now };
        }
        now.saturating_sub(known.at)
    }

    /// Pods of a node that isn't ready aren't either.
    async fn unready_pods(&self, node: &str) -> Result<()> {
        for pod in self.pods.on_node(node) {
            let conditions =
                pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
            if !conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
                continue;
            }
            let (namespace, name) = (pod.metadata.namespace.as_deref(), pod.metadata.name.as_deref());
            let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [
                {"type": "Ready", "status": "False", "lastTransitionTime": self.context.env.now_rfc3339()}]}});
            let written = self
                .context
                .client
                .patch_status::<Pod>(
                    namespace.unwrap_or_default(),
                    name.unwrap_or_default(),
                    PatchKind::Strategic,
                    patch,
                )
                .await;
            match written {
                Ok(_) => {
                    self.context.events.event(&*pod, EventType::Warning, "NodeNotReady", "Node is not ready")
                }
                Err(error) if error.is_not_found() || error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
