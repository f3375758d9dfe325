//! One scheduling cycle: from a pod and what is where to a node, or why there is none. Pure.

use std::collections::BTreeMap;

use cox_env::Chance;

use crate::filter::{self, Prepared};
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::score;
use crate::snapshot::Snapshot;

/// Fewer nodes than this are all looked at. Source: upstream's `minFeasibleNodesToFind`.
const FEASIBLE_MIN: usize = 100;

/// Why no node does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unschedulable {
    /// How many nodes there are.
    pub(crate) nodes: usize,
    /// How many refuse whatever other pods do.
    pub(crate) refuse_finally: usize,
    /// How many refused for each reason.
    pub(crate) reasons: BTreeMap<String, usize>,
}

/// What a cycle brings, and how many nodes it looked at.
pub(crate) struct Outcome {
    pub(crate) result: Result<String, Unschedulable>,
    pub(crate) looked_at: usize,
}

/// How many feasible nodes are enough. Source: upstream's `numFeasibleNodesToFind`.
fn enough(nodes: usize) -> usize {
    if nodes < FEASIBLE_MIN {
        return nodes;
    }
    let percent = (50 - nodes / 125).max(5);
    (nodes * percent / 100).max(FEASIBLE_MIN)
}

/// Finds the best node.
pub(crate) fn cycle(pod: &PodInfo, snapshot: &Snapshot, chance: &Chance) -> Outcome {
    let prepared = Prepared::new(pod, snapshot);
    let mut failed = Unschedulable { nodes: snapshot.len(), ..Unschedulable::default() };
    let mut feasible: Vec<&NodeInfo> = Vec::new();
    let mut looked_at = 0;
    let enough = enough(snapshot.len());
    for node in snapshot.nodes() {
        looked_at += 1;
        match filter::check(pod, node, &prepared) {
            Ok(()) => feasible.push(node),
            Err(reasons) => {
                failed.refuse_finally += usize::from(reasons.iter().any(|reason| filter::is_final(reason)));
                for reason in reasons {
                    *failed.reasons.entry(reason).or_default() += 1;
                }
            }
        }
        if feasible.len() >= enough {
            break;
        }
    }
    let result = match feasible.as_slice() {
        [] => Err(failed),
        [only] => Ok(only.name.clone()),
        many => {
            let scores = score::scores(pod, many, snapshot);
            let best = scores.iter().copied().max().unwrap_or(0);
            let winners: Vec<&&NodeInfo> = many.iter().zip(&scores).filter(|(_, score)| **score == best).map(|(node, _)| node).collect();
            let index = chance.below(winners.len() as u64);
            Ok(winners[usize::try_from(index).unwrap_or(0)].name.clone())
        }
    };
    Outcome { result, looked_at }
}
