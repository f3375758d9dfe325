//! Scores: which of the nodes that do is best. Weights and normalisation are upstream's defaults.

mod affinity;
mod resources;
mod spread;

use crate::filter::taints;
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::snapshot::Snapshot;

/// The best score of one plugin.
const SCORE_MAX: i64 = 100;
/// Upstream's default weights.
const WEIGHT_TAINTS: i64 = 3;
const WEIGHT_AFFINITY: i64 = 2;
const WEIGHT_SPREAD: i64 = 2;
const WEIGHT_PODS: i64 = 2;
const WEIGHT_FIT: i64 = 1;
const WEIGHT_BALANCE: i64 = 1;

/// The score of each node, in their order.
pub(crate) fn scores(pod: &PodInfo, nodes: &[&NodeInfo], snapshot: &Snapshot) -> Vec<i64> {
    let mut total = vec![0; nodes.len()];
    let mut add = |weight: i64, scores: Vec<i64>| {
        for (total, score) in total.iter_mut().zip(scores) {
            *total += weight * score;
        }
    };
    add(WEIGHT_TAINTS, normalize(nodes.iter().map(|node| taints::unwelcome(pod, node)).collect(), true));
    add(WEIGHT_AFFINITY, normalize(nodes.iter().map(|node| affinity::preferred_nodes(pod, node)).collect(), false));
    add(WEIGHT_PODS, affinity::preferred_pods(pod, nodes, snapshot));
    add(WEIGHT_SPREAD, spread::scores(pod, nodes, snapshot));
    add(WEIGHT_FIT, nodes.iter().map(|node| resources::least_allocated(pod, node)).collect());
    add(WEIGHT_BALANCE, nodes.iter().map(|node| resources::balanced(pod, node)).collect());
    total
}

/// Brings raw scores to 0..=100 by their maximum; `reverse` where less is better.
fn normalize(mut scores: Vec<i64>, reverse: bool) -> Vec<i64> {
    let max = scores.iter().copied().max().unwrap_or(0);
    for score in &mut scores {
        let scaled = if max == 0 { 0 } else { *score * SCORE_MAX / max };
        *score = if reverse { SCORE_MAX - scaled } else { scaled };
    }
    scores
}
