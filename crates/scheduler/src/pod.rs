//! A pod as the scheduler looks at it: read once, shared.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm, PodSpec, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::amounts::{self, Amounts};
use crate::selector::Labels;

/// A port of the node that a pod wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPort {
    pub(crate) ip: String,
    pub(crate) protocol: String,
    pub(crate) port: i32,
}

impl HostPort {
    /// Whether two ports can't be on one node.
    pub(crate) fn conflicts(&self, other: &HostPort) -> bool {
        let everywhere = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || everywhere(&self.ip) || everywhere(&other.ip))
    }
}

/// A pod with what scheduling needs of it.
#[derive(Debug)]
pub(crate) struct PodInfo {
    pub(crate) pod: Arc<Pod>,
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) requests: Amounts,
    pub(crate) score_requests: Amounts,
    pub(crate) ports: Vec<HostPort>,
    pub(crate) affinity: Vec<PodAffinityTerm>,
    pub(crate) anti_affinity: Vec<PodAffinityTerm>,
    pub(crate) spread: Vec<TopologySpreadConstraint>,
    pub(crate) terminating: bool,
    /// Namespace and controller: pods that are alike for spreading.
    pub(crate) group: Option<(String, String)>,
    /// What filters and scores look at, where that is nothing but the pod and one node: pods with the same text share
    /// the work. None where other pods matter.
    pub(crate) class: Option<Arc<str>>,
}

/// Whether every container has ended for good.
pub(crate) fn is_over(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

impl PodInfo {
    /// Reads a pod.
    pub(crate) fn new(pod: Arc<Pod>) -> PodInfo {
        let (requests, score_requests) = amounts::of_pod(&pod);
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
        let required = affinity
            .and_then(|affinity| affinity.pod_affinity.as_ref())
            .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.clone());
        let anti = affinity
            .and_then(|affinity| affinity.pod_anti_affinity.as_ref())
            .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.clone());
        let with_keys = |mut term: PodAffinityTerm| {
            let keys = (term.match_label_keys.clone(), term.mismatch_label_keys.clone());
            add_keys(&mut term.label_selector, keys.0.as_deref(), "In", &labels);
            add_keys(&mut term.label_selector, keys.1.as_deref(), "NotIn", &labels);
            term
        };
        let spread =
            pod.spec.as_ref().and_then(|spec| spec.topology_spread_constraints.clone()).unwrap_or_default();
        let spread = spread
            .into_iter()
            .map(|mut constraint| {
                let keys = constraint.match_label_keys.clone();
                add_keys(&mut constraint.label_selector, keys.as_deref(), "In", &labels);
                constraint
            })
            .collect();
        let owner =
            pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let group =
            owner.map(|owner| (pod.metadata.namespace.clone().unwrap_or_default(), owner.uid.clone()));
        let ports = pod.spec.as_ref().map(host_ports).unwrap_or_default();
        let class = class_of(&pod, &requests, &score_requests, &ports);
        PodInfo {
            group,
            class,
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            requests,
            score_requests,
            ports,
            affinity: required.unwrap_or_default().into_iter().map(with_keys).collect(),
            anti_affinity: anti.unwrap_or_default().into_iter().map(with_keys).collect(),
            spread,
            terminating: pod.metadata.deletion_timestamp.is_some(),
            labels,
            pod,
        }
    }

    /// The spec; pods without one never get past validation.
    pub(crate) fn spec(&self) -> &PodSpec {
        static EMPTY: std::sync::OnceLock<PodSpec> = std::sync::OnceLock::new();
        self.pod.spec.as_ref().unwrap_or_else(|| EMPTY.get_or_init(PodSpec::default))
    }

    /// Who comes first.
    pub(crate) fn priority(&self) -> i32 {
        self.spec().priority.unwrap_or(0)
    }
}

/// The text of what decides about a pod, where other pods don't matter.
fn class_of(pod: &Pod, requests: &Amounts, score: &Amounts, ports: &[HostPort]) -> Option<Arc<str>> {
    let spec = pod.spec.as_ref()?;
    let affinity = spec.affinity.as_ref();
    let others_matter = spec.topology_spread_constraints.as_ref().is_some_and(|list| !list.is_empty())
        || spec.resource_claims.as_ref().is_some_and(|list| !list.is_empty())
        || affinity
            .is_some_and(|affinity| affinity.pod_affinity.is_some() || affinity.pod_anti_affinity.is_some());
    if others_matter {
        return None;
    }
    let nodes = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
    let images: Vec<Option<&str>> =
        spec.containers.iter().map(|container| container.image.as_deref()).collect();
    let parts = (&spec.node_selector, nodes, &spec.tolerations, &spec.node_name, images);
    let shown = serde_json::to_string(&parts).ok()?;
    Some(format!("{requests:?} {score:?} {ports:?} {} {shown}", spec.priority.unwrap_or(0)).into())
}

/// `matchLabelKeys`: the pod's own values of these labels join the selector.
fn add_keys(selector: &mut Option<LabelSelector>, keys: Option<&[String]>, operator: &str, labels: &Labels) {
    for key in keys.unwrap_or_default() {
        if let (Some(selector), Some(value)) = (selector.as_mut(), labels.get(key)) {
            selector.match_expressions.get_or_insert_with(Vec::new).push(LabelSelectorRequirement {
                key: key.clone(),
                operator: operator.to_owned(),
                values: Some(vec![value.clone()]),
            });
        }
    }
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars =
        spec.init_containers.iter().flatten().filter(|init| init.restart_policy.as_deref() == Some("Always"));
    spec.containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            Some(HostPort {
                ip: port.host_ip.clone().unwrap_or_default(),
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
                port: port.host_port.filter(|port| *port > 0)?,
            })
        })
        .collect()
}
