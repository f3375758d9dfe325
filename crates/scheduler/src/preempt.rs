//! Preemption: which pods of lower priority leave which node, so that a pod finds room. Pure.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/>

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::cycle::judge_with_nominated;
use crate::filter::{self, Prepared};
use crate::pod::PodInfo;
use crate::selector;
use crate::snapshot::Snapshot;

/// Nodes that are tried at least, and their share at least. Source: upstream's `minCandidateNodesAbsolute` and
/// `minCandidateNodesPercentage`.
const CANDIDATES_MIN: usize = 100;
const CANDIDATES_PERCENT: usize = 10;

/// A node with the pods that leave it.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) node: String,
    /// The most important one first.
    pub(crate) victims: Vec<Arc<PodInfo>>,
    /// How many of them a disruption budget would keep.
    violations: usize,
}

/// Why a pod may not preempt at all, in upstream's words.
pub(crate) fn not_eligible(pod: &PodInfo, snapshot: &Snapshot) -> Option<&'static str> {
    if pod.spec().preemption_policy.as_deref() == Some("Never") {
        return Some("not eligible due to preemptionPolicy=Never.");
    }
    let nominated = pod.pod.status.as_ref().and_then(|status| status.nominated_node_name.as_deref())?;
    let slot = snapshot.slot_of(nominated)?;
    let going =
        snapshot.at(slot).pods.values().any(|other| other.terminating && other.priority() < pod.priority());
    going.then_some("not eligible due to a terminating pod on the nominated node.")
}

/// The best node to make room on; `slots` are those on which it may help. The snapshot is the same afterwards.
pub(crate) fn choose(
    pod: &PodInfo,
    snapshot: &mut Snapshot,
    slots: &[usize],
    budgets: &[Arc<PodDisruptionBudget>],
) -> Option<Choice> {
    let tries = CANDIDATES_MIN.max(slots.len() * CANDIDATES_PERCENT / 100);
    let mut choices = Vec::new();
    for slot in slots {
        choices.extend(victims(pod, snapshot, *slot, budgets));
        if choices.len() >= tries {
            break;
        }
    }
    choices.into_iter().min_by_key(rank)
}

/// Fewest broken budgets, then the lowest highest priority, the lowest sum of priorities, the fewest victims, and
/// among those the one whose most important victim has run for the shortest time.
fn rank(choice: &Choice) -> (usize, i32, i64, usize, Reverse<Option<Timestamp>>) {
    let priorities = choice.victims.iter().map(|victim| victim.priority());
    let highest = priorities.clone().max().unwrap_or(i32::MIN);
    // Upstream moves priorities above zero, so that more victims are never better than fewer.
    let sum = priorities.map(|priority| i64::from(priority) + i64::from(i32::MAX) + 1).sum();
    let started = choice
        .victims
        .iter()
        .filter(|victim| victim.priority() == highest)
        .filter_map(|victim| started(victim))
        .min();
    (choice.violations, highest, sum, choice.victims.len(), Reverse(started))
}

fn started(pod: &PodInfo) -> Option<Timestamp> {
    pod.pod.status.as_ref()?.start_time.as_ref().map(|time| time.0)
}

/// The pods that have to leave a node; none where that doesn't help.
fn victims(
    pod: &PodInfo,
    snapshot: &mut Snapshot,
    slot: usize,
    budgets: &[Arc<PodDisruptionBudget>],
) -> Option<Choice> {
    let node = snapshot.at(slot).name.clone();
    let lower: Vec<Arc<PodInfo>> =
        snapshot.at(slot).pods.values().filter(|other| other.priority() < pod.priority()).cloned().collect();
    if lower.is_empty() {
        return None;
    }
    lower.iter().for_each(|other| drop(snapshot.remove_pod(&other.uid)));
    let mut choice = None;
    if fits(pod, snapshot, slot) {
        let (breaking, fine) = by_budgets(lower.clone(), budgets);
        let (mut leaving, mut violations) = (Vec::new(), 0);
        // Whoever can stay stays, those under a budget first, then by importance.
        for (breaks, other) in
            breaking.into_iter().map(|pod| (true, pod)).chain(fine.into_iter().map(|pod| (false, pod)))
        {
            snapshot.put_back(slot, other.clone());
            if !fits(pod, snapshot, slot) {
                snapshot.remove_pod(&other.uid);
                violations += usize::from(breaks);
                leaving.push(other);
            }
        }
        leaving.iter().for_each(|other| snapshot.put_back(slot, other.clone()));
        leaving.sort_by_key(|a| importance(a));
        if !leaving.is_empty() {
            choice = Some(Choice { node, victims: leaving, violations });
        }
    } else {
        lower.iter().for_each(|other| snapshot.put_back(slot, other.clone()));
    }
    choice
}

fn fits(pod: &PodInfo, snapshot: &Snapshot, slot: usize) -> bool {
    let prepared = Prepared::new(pod, snapshot);
    filter::check(pod, snapshot.at(slot), &prepared).is_ok()
        && judge_with_nominated(pod, snapshot, slot, &prepared).is_ok()
}

/// Sorts the more important first: by priority, then by who has run longer.
fn importance(pod: &PodInfo) -> (Reverse<i32>, Option<Timestamp>, String) {
    (Reverse(pod.priority()), started(pod), pod.uid.clone())
}

/// Parts pods by whether a budget would keep them, in order of importance.
fn by_budgets(
    mut pods: Vec<Arc<PodInfo>>,
    budgets: &[Arc<PodDisruptionBudget>],
) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
    pods.sort_by_key(|pod| importance(pod));
    let mut left: BTreeMap<usize, i32> = BTreeMap::new();
    pods.into_iter().partition(|pod| {
        let mut breaks = false;
        for (number, budget) in budgets.iter().enumerate() {
            let same = budget.metadata.namespace.as_deref() == Some(&pod.namespace);
            let chosen = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            if !same || pod.labels.is_empty() || !selector::matches(chosen, &pod.labels) {
                continue;
            }
            let status = budget.status.as_ref();
            let known = status.and_then(|status| status.disrupted_pods.as_ref());
            if known.is_some_and(|known| known.contains_key(&pod.name)) {
                continue;
            }
            let allowed = status.and_then(|status| status.disruptions_allowed).unwrap_or(0);
            let left = left.entry(number).or_insert(allowed);
            *left -= 1;
            breaks |= *left < 0;
        }
        breaks
    })
}
