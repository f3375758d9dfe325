//! Filters: whether a pod can be on a node at all. In upstream's order; the first refusal counts.

pub(crate) mod affinity;
pub(crate) mod fit;
pub(crate) mod pods;
pub(crate) mod spread;
pub(crate) mod taints;

use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::snapshot::Snapshot;

/// Why a node doesn't do, in upstream's words.
pub(crate) type Reasons = Vec<String>;

/// What some filters work out once for all nodes.
pub(crate) struct Prepared {
    pods: pods::Prepared,
    spread: spread::Prepared,
}

impl Prepared {
    pub(crate) fn new(pod: &PodInfo, snapshot: &Snapshot) -> Prepared {
        Prepared { pods: pods::Prepared::new(pod, snapshot), spread: spread::Prepared::new(pod, snapshot) }
    }

    /// Whether nothing but the pod and a node decides about that node.
    pub(crate) fn is_local(&self, pod: &PodInfo) -> bool {
        pod.class.is_some() && self.pods.is_trivial()
    }
}

/// Whether a refusal would stand even if other pods left the node.
pub(crate) fn is_final(reason: &str) -> bool {
    !(reason.starts_with("Insufficient ")
        || reason == "Too many pods"
        || reason.contains("free ports")
        || reason.contains("anti-affinity")
        || reason == "node(s) didn't match pod topology spread constraints")
}

/// Whether the pod can be on the node.
pub(crate) fn check(pod: &PodInfo, node: &NodeInfo, prepared: &Prepared) -> Result<(), Reasons> {
    let one = |reason: &str| Err(vec![reason.to_owned()]);
    if node.unschedulable && !taints::tolerates_unschedulable(pod) {
        return one("node(s) were unschedulable");
    }
    if pod.spec().node_name.as_deref().is_some_and(|name| !name.is_empty() && name != node.name) {
        return one("node(s) didn't match the requested node name");
    }
    if taints::untolerated(pod, node) {
        return one("node(s) had untolerated taint(s)");
    }
    if !affinity::matches(pod, node) {
        return one("node(s) didn't match Pod's node affinity/selector");
    }
    if !pod.ports.is_empty()
        && node
            .pods
            .values()
            .flat_map(|other| &other.ports)
            .any(|used| pod.ports.iter().any(|port| port.conflicts(used)))
    {
        return one("node(s) didn't have free ports for the requested pod ports");
    }
    fit::check(pod, node)?;
    prepared.spread.check(node).map_err(|reason| vec![reason])?;
    prepared.pods.check(pod, node).map_err(|reason| vec![reason])
}
