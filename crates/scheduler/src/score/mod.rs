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

/// What one node's score is made of, before other nodes are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    unwelcome: i64,
    preferred: i64,
    resources: i64,
}

impl Raw {
    pub(crate) fn of(pod: &PodInfo, node: &NodeInfo) -> Raw {
        Raw {
            unwelcome: taints::unwelcome(pod, node),
            preferred: affinity::preferred_nodes(pod, node),
            resources: WEIGHT_FIT * resources::least_allocated(pod, node)
                + WEIGHT_BALANCE * resources::balanced(pod, node),
        }
    }
}

/// The score of each node (by slot), in their order.
pub(crate) fn scores(pod: &PodInfo, nodes: &[(usize, Raw)], snapshot: &Snapshot) -> Vec<i64> {
    let mut total = vec![0; nodes.len()];
    let mut add = |weight: i64, scores: Vec<i64>| {
        for (total, score) in total.iter_mut().zip(scores) {
            *total += weight * score;
        }
    };
    add(WEIGHT_TAINTS, normalize(nodes.iter().map(|(_, raw)| raw.unwelcome).collect(), true));
    add(WEIGHT_AFFINITY, normalize(nodes.iter().map(|(_, raw)| raw.preferred).collect(), false));
    add(WEIGHT_PODS, affinity::preferred_pods(pod, nodes, snapshot));
    add(WEIGHT_SPREAD, spread::scores(pod, nodes, snapshot));
    add(1, nodes.iter().map(|(_, raw)| raw.resources).collect());
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
