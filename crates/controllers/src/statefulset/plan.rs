//! What a StatefulSet does next: at most one pod for each ordinal, in order where that is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;

use super::template::{ordinal, revision};
use crate::common::intstr::scaled;
use crate::common::owner::{name, namespace};
use crate::common::pods;

/// What is known.
pub(crate) struct Input<'a> {
    pub(crate) set: &'a StatefulSet,
    /// The pods that it controls.
    pub(crate) pods: &'a [Arc<Pod>],
    /// The revision of pods that an update has not come to yet, and the one it brings.
    pub(crate) current: &'a str,
    pub(crate) update: &'a str,
}

/// What to do.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// (ordinal, revision) of pods to make, with their claims.
    pub(crate) create: Vec<(i32, String)>,
    /// Pods to delete.
    pub(crate) delete: Vec<Arc<Pod>>,
    /// (reason, message), all of them warnings.
    pub(crate) events: Vec<(&'static str, String)>,
    /// The status to write.
    pub(crate) status: Option<StatefulSetStatus>,
}

fn replicas(set: &StatefulSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn first(set: &StatefulSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.ordinals.as_ref()?.start).unwrap_or(0)
}

fn min_ready_seconds(set: &StatefulSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
}

/// (is RollingUpdate, partition, how many may be unavailable)
fn strategy(set: &StatefulSet) -> (bool, i32, i32) {
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let partition = rolling.and_then(|rolling| rolling.partition).unwrap_or(0);
    let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    let unavailable = unavailable.map_or(1, |value| scaled(value, replicas(set), true).max(1));
    let is_rolling = strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
    (is_rolling, partition, unavailable)
}

/// Decides.
pub(crate) fn plan(input: &Input<'_>, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    if input.set.metadata.deletion_timestamp.is_none() {
        act(input, now, &mut plan);
    }
    plan.status = status(input, &plan, now);
    plan
}

/// The revision that a new pod of an ordinal is made from.
fn revision_for<'a>(input: &Input<'a>, at: i32) -> &'a str {
    let (rolling, partition, _) = strategy(input.set);
    let status = input.set.status.as_ref();
    let current_pods = status.and_then(|status| status.current_replicas).unwrap_or(0);
    let first = first(input.set);
    let keeps_current = if rolling { at < first + partition.max(0) } else { at < first + current_pods };
    // Pods that the update hasn't come to are remade as they were.
    if input.current != input.update && keeps_current { input.current } else { input.update }
}

fn act(input: &Input<'_>, now: Timestamp, plan: &mut Plan) {
    let set = input.set;
    let (first, count) = (first(set), replicas(set));
    let parallel =
        set.spec.as_ref().and_then(|spec| spec.pod_management_policy.as_deref()) == Some("Parallel");
    let mut slots: BTreeMap<i32, &Arc<Pod>> = BTreeMap::new();
    let mut condemned = Vec::new();
    for pod in input.pods {
        match ordinal(set, pod) {
            Some(at) if at >= first && at < first + count => {
                slots.insert(at, pod);
            }
            Some(at) => condemned.push((at, pod)),
            None => {}
        }
    }
    condemned.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let available = |pod: &Pod| pods::is_available(pod, min_ready_seconds(set), now);
    let healthy = |pod: &Pod| pods::phase(pod) == "Running" && available(pod) && !pods::is_deleted(pod);
    for at in first..first + count {
        match slots.get(&at) {
            None => {
                plan.create.push((at, revision_for(input, at).to_owned()));
                if !parallel {
                    return;
                }
            }
            Some(pod) if pods::is_terminal(pod) => {
                if !pods::is_deleted(pod) {
                    let (reason, what) = if pods::phase(pod) == "Failed" {
                        ("RecreatingFailedPod", "failed")
                    } else {
                        ("RecreatingTerminatedPod", "terminated")
                    };
                    let message = format!(
                        "StatefulSet {}/{} is recreating {what} Pod {}",
                        namespace(set),
                        name(set),
                        name(&***pod)
                    );
                    plan.events.push((reason, message));
                    plan.delete.push((*pod).clone());
                }
                // Made again when its place is free.
                if !parallel {
                    return;
                }
            }
            // One after another: the next one waits for this one to go, or to be of use.
            Some(pod) if !parallel && !healthy(pod) => return,
            Some(_) => {}
        }
    }
    for (_, pod) in &condemned {
        if pods::is_deleted(pod) {
            if parallel {
                continue;
            }
            return;
        }
        plan.delete.push((*pod).clone());
        if !parallel {
            return;
        }
    }
    if plan.create.is_empty() && plan.delete.is_empty() {
        update(input, &slots, &healthy, plan);
    }
}

/// Takes the update to the next pods, from the last ordinal down to the partition.
fn update(
    input: &Input<'_>,
    slots: &BTreeMap<i32, &Arc<Pod>>,
    healthy: &impl Fn(&Pod) -> bool,
    plan: &mut Plan,
) {
    let (rolling, partition, most) = strategy(input.set);
    if !rolling {
        return;
    }
    let mut unavailable = i32::try_from(slots.values().filter(|pod| !healthy(pod)).count()).unwrap_or(0);
    let start = first(input.set) + partition.max(0);
    for pod in slots.range(start..).rev().map(|(_, pod)| pod) {
        let outdated = revision(pod) != input.update;
        if outdated && !pods::is_deleted(pod) {
            // One that is of no use already costs nothing.
            if healthy(pod) {
                if unavailable >= most {
                    return;
                }
                unavailable += 1;
            }
            plan.delete.push((*pod).clone());
        }
        if unavailable >= most {
            return;
        }
    }
}

fn status(input: &Input<'_>, plan: &Plan, now: Timestamp) -> Option<StatefulSetStatus> {
    let set = input.set;
    let before = set.status.clone().unwrap_or_default();
    let mut status = StatefulSetStatus {
        observed_generation: set.metadata.generation,
        collision_count: before.collision_count,
        conditions: before.conditions.clone(),
        current_revision: Some(input.current.to_owned()),
        update_revision: Some(input.update.to_owned()),
        ..StatefulSetStatus::default()
    };
    let (mut ready, mut available, mut current, mut updated) = (0, 0, 0, 0);
    let living = input.pods.iter().filter(|pod| ordinal(set, pod).is_some());
    for pod in living {
        status.replicas += 1;
        if pods::phase(pod) == "Running" && pods::is_ready(pod) {
            ready += 1;
            available += i32::from(pods::is_available(pod, min_ready_seconds(set), now));
        }
        if !pods::is_deleted(pod) && !pods::is_terminal(pod) {
            current += i32::from(revision(pod) == input.current);
            updated += i32::from(revision(pod) == input.update);
        }
    }
    let (rolling, partition, _) = strategy(set);
    // The update is everywhere: what it brought is the current revision from now on.
    let done = rolling
        && partition <= 0
        && updated == status.replicas
        && ready == status.replicas
        && status.replicas == replicas(set)
        && plan.create.is_empty()
        && plan.delete.is_empty();
    if done {
        status.current_revision = Some(input.update.to_owned());
        current = updated;
    }
    let some = |number: i32| (number != 0).then_some(number);
    status.ready_replicas = some(ready);
    status.available_replicas = Some(available);
    status.current_replicas = some(current);
    status.updated_replicas = some(updated);
    (set.status.as_ref() != Some(&status)).then_some(status)
}
