//! One scheduling cycle: from a pod and what is where to a node, or why there is none. Pure, but for remembering
//! what was worked out for pods that are alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_env::Chance;

use crate::devices::Plan;
use crate::filter::{self, Prepared, Reasons};
use crate::pod::PodInfo;
use crate::score::{self, Raw};
use crate::snapshot::Snapshot;

/// Fewer nodes than this are all looked at. Source: upstream's `minFeasibleNodesToFind`.
const FEASIBLE_MIN: usize = 100;
/// Kinds of pods whose work is remembered at a time.
const CLASSES_MAX: usize = 16;

/// Why no node does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unschedulable {
    /// How many nodes there are.
    pub(crate) nodes: usize,
    /// How many refuse whatever other pods do.
    pub(crate) refuse_finally: usize,
    /// Why the pod can't be on any node, where no node was looked at.
    pub(crate) whole: Option<String>,
    /// How many refused for each reason.
    pub(crate) reasons: BTreeMap<String, usize>,
    /// Slots of the nodes on which it may help if others leave.
    pub(crate) helped_by_preemption: Vec<usize>,
}

impl Unschedulable {
    /// No node does, whichever there are.
    pub(crate) fn everywhere(nodes: usize, why: String) -> Unschedulable {
        Unschedulable { nodes, refuse_finally: nodes, whole: Some(why), ..Unschedulable::default() }
    }
}

/// What a cycle brings, and how many nodes it looked at.
pub(crate) struct Outcome {
    pub(crate) result: Result<String, Unschedulable>,
    pub(crate) looked_at: usize,
}

type Verdict = Result<Raw, Arc<Reasons>>;

/// What was worked out for pods that are alike: by slot, valid for one version of the node.
#[derive(Default)]
struct Class {
    verdicts: Vec<Option<(u64, Verdict)>>,
    used: u64,
}

/// Remembers verdicts between cycles.
#[derive(Default)]
pub(crate) struct Memory {
    classes: BTreeMap<Arc<str>, Class>,
    clock: u64,
}

impl Memory {
    fn class(&mut self, key: &Arc<str>) -> &mut Class {
        self.clock += 1;
        if !self.classes.contains_key(key) && self.classes.len() >= CLASSES_MAX {
            let oldest = self.classes.iter().min_by_key(|(_, class)| class.used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.classes.remove(&oldest));
        }
        let class = self.classes.entry(key.clone()).or_default();
        class.used = self.clock;
        class
    }
}

/// How many feasible nodes are enough. Source: upstream's `numFeasibleNodesToFind`.
fn enough(nodes: usize) -> usize {
    if nodes < FEASIBLE_MIN {
        return nodes;
    }
    let percent = 50usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(FEASIBLE_MIN)
}

fn judge(pod: &PodInfo, snapshot: &Snapshot, slot: usize, prepared: &Prepared) -> Verdict {
    let node = snapshot.at(slot);
    filter::check(pod, node, prepared).map_err(Arc::new)?;
    Ok(Raw::of(pod, node))
}

/// The same with those on the node who wait for room there: the pod has to fit whether they come or not.
pub(crate) fn judge_with_nominated(
    pod: &PodInfo,
    snapshot: &Snapshot,
    slot: usize,
    prepared: &Prepared,
) -> Result<(), Arc<Reasons>> {
    let mut others = snapshot.nominated(slot, pod).peekable();
    if others.peek().is_some() {
        let mut node = snapshot.at(slot).clone();
        others.for_each(|other| node.add(other.clone()));
        filter::check(pod, &node, prepared).map_err(Arc::new)?;
    }
    Ok(())
}

/// Finds the best node; `devices` are those of the pod's claims, which filters look at last.
pub(crate) fn cycle(
    pod: &PodInfo,
    snapshot: &Snapshot,
    chance: &Chance,
    memory: &mut Memory,
    devices: Option<&Plan>,
) -> Outcome {
    let prepared = Prepared::new(pod, snapshot);
    let mut class = match (&pod.class, prepared.is_local(pod)) {
        (Some(key), true) => Some(memory.class(key)),
        _ => None,
    };
    let contested = snapshot.has_nominated();
    let enough = enough(snapshot.len());
    let mut feasible: Vec<(usize, Raw)> = Vec::new();
    let mut refused: Vec<(usize, Arc<Reasons>)> = Vec::new();
    let mut looked_at = 0;
    for slot in snapshot.slots() {
        looked_at += 1;
        let version = snapshot.at(slot).version;
        let mut verdict = match &mut class {
            None => judge(pod, snapshot, slot, &prepared),
            Some(class) => {
                if class.verdicts.len() <= slot {
                    class.verdicts.resize(slot + 1, None);
                }
                match &class.verdicts[slot] {
                    Some((known, verdict)) if *known == version => verdict.clone(),
                    _ => {
                        let verdict = judge(pod, snapshot, slot, &prepared);
                        class.verdicts[slot] = Some((version, verdict.clone()));
                        verdict
                    }
                }
            }
        };
        if contested && verdict.is_ok() {
            verdict = judge_with_nominated(pod, snapshot, slot, &prepared).and(verdict);
        }
        if verdict.is_ok()
            && let Some(devices) = devices
            && let Err(reasons) = devices.check(snapshot.at(slot))
        {
            verdict = Err(Arc::new(reasons));
        }
        match verdict {
            Ok(raw) => feasible.push((slot, raw)),
            Err(reasons) => refused.push((slot, reasons)),
        }
        if feasible.len() >= enough {
            break;
        }
    }
    let name = |slot: usize| snapshot.at(slot).name.clone();
    let result = match feasible.as_slice() {
        [] => Err(sum_up(snapshot.len(), &refused)),
        [(only, _)] => Ok(name(*only)),
        many => {
            let scores = score::scores(pod, many, snapshot);
            let best = scores.iter().copied().max().unwrap_or(0);
            let winners: Vec<usize> = many
                .iter()
                .zip(&scores)
                .filter(|(_, score)| **score == best)
                .map(|((slot, _), _)| *slot)
                .collect();
            let index = chance.below(winners.len() as u64);
            Ok(name(winners[usize::try_from(index).unwrap_or(0)]))
        }
    };
    Outcome { result, looked_at }
}

fn sum_up(nodes: usize, refused: &[(usize, Arc<Reasons>)]) -> Unschedulable {
    let mut failed = Unschedulable { nodes, ..Unschedulable::default() };
    for (slot, reasons) in refused {
        if reasons.iter().any(|reason| filter::is_final(reason)) {
            failed.refuse_finally += 1;
        } else {
            failed.helped_by_preemption.push(*slot);
        }
        for reason in reasons.iter() {
            match failed.reasons.get_mut(reason) {
                Some(count) => *count += 1,
                None => {
                    failed.reasons.insert(reason.clone(), 1);
                }
            }
        }
    }
    failed
}
