//! The node in the API: registered at start, its status and lease renewed.
//! Source: <https://kubernetes.io/docs/concepts/architecture/nodes/>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cox_api::PatchKind;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, Node as ApiNode, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus,
    NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use serde_json::{Value, json};

use crate::config::KubeletConfig;
use crate::node::Node;
use crate::resources::Allocatable;

/// Upstream's defaults: how long a lease holds, how often it is renewed, how often an unchanged status is written.
const LEASE_SECONDS: i32 = 40;
const RENEW_EVERY: Duration = Duration::from_secs(10);
const STATUS_EVERY: Duration = Duration::from_secs(300);
/// Until a write that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Where leases of nodes are.
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// Registers the node and brings its status to Ready.
pub(crate) async fn register(node: &Node) {
    let mut first = true;
    loop {
        match try_register(node).await {
            Ok(()) => break,
            Err(error) => {
                if first {
                    tracing::info!(node = node.config.node_name, %error, "waiting to register");
                }
                first = false;
                node.env.sleep(RETRY_AFTER).await;
            }
        }
    }
    node.events.node(&node.config.node_name, "Normal", "Starting", "Starting kubelet.");
    let message = format!("Node {} status is now: NodeReady", node.config.node_name);
    node.events.node(&node.config.node_name, "Normal", "NodeReady", &message);
}

async fn try_register(node: &Node) -> cox_client::Result<()> {
    let name = &node.config.node_name;
    let known: Option<Arc<ApiNode>> = node.client.find("", name).await?;
    if known.is_none() {
        let fresh = ApiNode {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(labels(&node.config)),
                ..ObjectMeta::default()
            },
            spec: Some(NodeSpec {
                taints: (!node.config.taints.is_empty()).then(|| {
                    let taint = |taint: &crate::Taint| Taint {
                        key: taint.key.clone(),
                        value: (!taint.value.is_empty()).then(|| taint.value.clone()),
                        effect: taint.effect.clone(),
                        time_added: None,
                    };
                    node.config.taints.iter().map(taint).collect()
                }),
                ..NodeSpec::default()
            }),
            status: Some(status(node, None)),
        };
        match node.client.create(&fresh).await {
            Ok(_) => {}
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error),
        }
    } else {
        let patch = json!({"metadata": {"labels": labels(&node.config)}});
        node.client.patch::<ApiNode>("", name, PatchKind::Strategic, patch).await?;
    }
    write_status(node).await
}

/// Writes the node's status.
async fn write_status(node: &Node) -> cox_client::Result<()> {
    let name = &node.config.node_name;
    let known: Arc<ApiNode> = node.client.get("", name).await?;
    let fresh = status(node, known.status.as_ref());
    let patch = json!({"status": serde_json::to_value(&fresh).unwrap_or(Value::Null)});
    node.client.patch_status::<ApiNode>("", name, PatchKind::Strategic, patch).await?;
    Ok(())
}

/// Renews the lease and now and then the status, for as long as the kubelet lives.
pub(crate) async fn keep(node: Arc<Node>) {
    let mut status_at = node.env.elapsed();
    loop {
        let mut wait = RENEW_EVERY;
        if let Err(error) = renew(&node).await {
            tracing::warn!(node = node.config.node_name, %error, "renewing the node's lease");
            wait = RETRY_AFTER;
        }
        if node.env.elapsed() - status_at >= STATUS_EVERY {
            match write_status(&node).await {
                Ok(()) => status_at = node.env.elapsed(),
                Err(error) if error.is_not_found() => register(&node).await,
                Err(error) => tracing::warn!(node = node.config.node_name, %error, "node status"),
            }
        }
        node.env.sleep(wait).await;
    }
}

async fn renew(node: &Node) -> cox_client::Result<()> {
    let name = &node.config.node_name;
    let now = MicroTime(node.env.now());
    let patch = json!({"spec": {"renewTime": node.env.now_micro(), "holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS}});
    match node.client.patch::<Lease>(LEASE_NAMESPACE, name, PatchKind::Merge, patch).await {
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
        Ok(_) => return Ok(()),
    }
    let owner: Option<Arc<ApiNode>> = node.client.find("", name).await?;
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(LEASE_NAMESPACE.into()),
            owner_references: owner.and_then(|owner| owner.metadata.uid.clone()).map(|uid| {
                vec![OwnerReference {
                    api_version: "v1".into(),
                    kind: "Node".into(),
                    name: name.clone(),
                    uid,
                    ..OwnerReference::default()
                }]
            }),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    };
    node.client.create(&lease).await.map(|_| ())
}

fn labels(config: &KubeletConfig) -> BTreeMap<String, String> {
    let mut labels = config.labels.clone();
    let arch = &config.machine.architecture;
    for (key, value) in [
        ("kubernetes.io/hostname", config.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", arch),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

fn status(node: &Node, before: Option<&NodeStatus>) -> NodeStatus {
    let config = &node.config;
    let machine = &config.machine;
    let version = format!("v1.36.0-cox.{}", env!("CARGO_PKG_VERSION"));
    NodeStatus {
        capacity: Some(amounts(&config.capacity)),
        allocatable: Some(amounts(&config.allocatable)),
        conditions: Some(conditions(node, before)),
        addresses: Some(vec![
            NodeAddress { type_: "InternalIP".into(), address: config.node_ip.to_string() },
            NodeAddress { type_: "Hostname".into(), address: config.node_name.clone() },
        ]),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(config.port) }),
        }),
        node_info: Some(NodeSystemInfo {
            architecture: machine.architecture.clone(),
            boot_id: machine.boot_id.clone(),
            container_runtime_version: format!("cox://{}", env!("CARGO_PKG_VERSION")),
            kernel_version: machine.kernel_version.clone(),
            kube_proxy_version: String::new(),
            kubelet_version: version,
            machine_id: machine.machine_id.clone(),
            operating_system: "linux".into(),
            os_image: machine.os_image.clone(),
            system_uuid: machine.machine_id.clone(),
            swap: None,
        }),
        ..NodeStatus::default()
    }
}

fn amounts(amounts: &Allocatable) -> BTreeMap<String, Quantity> {
    let cpu = if amounts.cpu_milli % 1000 == 0 {
        format!("{}", amounts.cpu_milli / 1000)
    } else {
        format!("{}m", amounts.cpu_milli)
    };
    [
        ("cpu", cpu),
        ("memory", format!("{}Ki", amounts.memory_bytes / 1024)),
        ("ephemeral-storage", format!("{}Ki", amounts.ephemeral_storage_bytes / 1024)),
        ("pods", amounts.pods.to_string()),
        ("hugepages-2Mi", "0".to_owned()),
        ("hugepages-1Gi", "0".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Quantity(value)))
    .collect()
}

fn conditions(node: &Node, before: Option<&NodeStatus>) -> Vec<NodeCondition> {
    let now = jiff::Timestamp::from_second(node.env.now().as_second()).unwrap_or_else(|_| node.env.now());
    let verdicts = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    verdicts
        .into_iter()
        .map(|(name, status, reason, message)| {
            let old = before.and_then(|before| {
                before.conditions.iter().flatten().find(|old| old.type_ == name && old.status == status)
            });
            NodeCondition {
                type_: name.into(),
                status: status.into(),
                reason: Some(reason.into()),
                message: Some(message.into()),
                last_heartbeat_time: Some(Time(now)),
                last_transition_time: old
                    .and_then(|old| old.last_transition_time.clone())
                    .or(Some(Time(now))),
            }
        })
        .collect()
}
