//! Scores by preferred affinity: of nodes, and of pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::WeightedPodAffinityTerm;

use super::{Raw, SCORE_MAX};
use crate::filter::pods::about;
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::selector;
use crate::snapshot::Snapshot;

/// The weights of the preferred terms that the node meets.
pub(super) fn preferred_nodes(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let affinity = pod.spec().affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    affinity
        .and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref())
        .into_iter()
        .flatten()
        .filter(|term| selector::term(&term.preference, &node.name, &node.labels))
        .map(|term| i64::from(term.weight))
        .sum()
}

fn terms(pod: &PodInfo) -> Vec<(i64, &WeightedPodAffinityTerm)> {
    let affinity = pod.spec().affinity.as_ref();
    let near = affinity.and_then(|affinity| {
        affinity.pod_affinity.as_ref()?.preferred_during_scheduling_ignored_during_execution.as_ref()
    });
    let far = affinity.and_then(|affinity| {
        affinity.pod_anti_affinity.as_ref()?.preferred_during_scheduling_ignored_during_execution.as_ref()
    });
    let near = near.into_iter().flatten().map(|term| (i64::from(term.weight), term));
    near.chain(far.into_iter().flatten().map(|term| (-i64::from(term.weight), term))).collect()
}

/// The weights of preferred terms by topology, brought to 0..=100.
pub(super) fn preferred_pods(pod: &PodInfo, nodes: &[(usize, Raw)], snapshot: &Snapshot) -> Vec<i64> {
    let terms = terms(pod);
    if terms.is_empty() {
        return vec![0; nodes.len()];
    }
    let mut topologies: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for node in snapshot.nodes() {
        for other in node.pods.values() {
            for (weight, term) in &terms {
                let term = &term.pod_affinity_term;
                if about(term, pod, other, &snapshot.namespaces)
                    && let Some(value) = node.labels.get(&term.topology_key)
                {
                    *topologies.entry((&term.topology_key, value)).or_default() += weight;
                }
            }
        }
    }
    let raw: Vec<i64> = nodes
        .iter()
        .map(|(slot, _)| {
            let node = snapshot.at(*slot);
            topologies
                .iter()
                .filter(|((key, value), _)| node.labels.get(*key).map(String::as_str) == Some(*value))
                .map(|(_, weight)| weight)
                .sum()
        })
        .collect();
    let (min, max) = (raw.iter().copied().min().unwrap_or(0), raw.iter().copied().max().unwrap_or(0));
    raw.into_iter()
        .map(|score| if max == min { 0 } else { (score - min) * SCORE_MAX / (max - min) })
        .collect()
}
