//! Node selectors and node affinity.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/>

use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::selector;

/// Whether the node is one of those that the pod asks for.
pub(crate) fn matches(pod: &PodInfo, node: &NodeInfo) -> bool {
    let spec = pod.spec();
    let selected =
        spec.node_selector.iter().flatten().all(|(key, value)| node.labels.get(key) == Some(value));
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required =
        affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    selected
        && required.is_none_or(|required| {
            required.node_selector_terms.iter().any(|term| selector::term(term, &node.name, &node.labels))
        })
}
