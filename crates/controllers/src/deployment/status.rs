//! The status of a Deployment: numbers, and the conditions Available, Progressing and ReplicaFailure.

use std::time::Duration;

use cox_client::Next;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::Sets;
use super::view;
use crate::common::conditions;
use crate::common::owner::name;

pub(super) const PROGRESSING: &str = "Progressing";
pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const COMPLETE: &str = "NewReplicaSetAvailable";

/// The status without judging progress (paused, being scaled, being deleted); none where nothing changed.
pub(super) fn plain(deployment: &Deployment, sets: &Sets, now: Timestamp) -> Option<DeploymentStatus> {
    changed(deployment, numbers(deployment, sets, now))
}

/// The status of a rollout, and when its deadline has to be looked at.
pub(super) fn rollout(
    deployment: &Deployment,
    sets: &Sets,
    now: Timestamp,
) -> (Option<DeploymentStatus>, Next) {
    let before = deployment.status.clone().unwrap_or_default();
    let mut status = numbers(deployment, sets, now);
    let deadline = view::progress_deadline(deployment);
    if deadline.is_none() {
        conditions::remove(&mut status.conditions, PROGRESSING);
    }
    let current = conditions::find(&before.conditions, PROGRESSING).cloned();
    let was_complete = status.replicas == status.updated_replicas
        && current.as_ref().is_some_and(|condition| condition.reason.as_deref() == Some(COMPLETE));
    let subject = |ends: &str| match &sets.new {
        Some(set) => format!("ReplicaSet \"{}\" {ends}", name(&**set)),
        None => format!("Deployment \"{}\" {ends}", name(deployment)),
    };
    if let Some(deadline) = deadline.filter(|_| !was_complete) {
        if is_complete(deployment, &status) {
            let message = subject("has successfully progressed.");
            set_progressing(&mut status, "True", COMPLETE, message, now);
        } else if made_progress(&before, &status) {
            let message = subject("is progressing.");
            let mut condition = progressing("True", "ReplicaSetUpdated", message, now);
            if let Some(current) = current.as_ref().filter(|current| current.status == "True") {
                condition.last_transition_time.clone_from(&current.last_transition_time);
            }
            // The time of the update counts for the deadline, so it is told even if nothing else is new.
            conditions::remove(&mut status.conditions, PROGRESSING);
            status.conditions.get_or_insert_default().push(condition);
        } else if timed_out(current.as_ref(), deadline, now) {
            let message = subject("has timed out progressing.");
            set_progressing(&mut status, "False", TIMED_OUT, message, now);
        }
        if conditions::find(&status.conditions, PROGRESSING).is_none()
            && let Some(set) = &sets.new
        {
            let message = format!("Found new replica set \"{}\"", name(&**set));
            set_progressing(&mut status, "True", "FoundNewReplicaSet", message, now);
        }
    }
    match failure(sets) {
        Some(condition) => conditions::set(&mut status.conditions, condition),
        None => conditions::remove(&mut status.conditions, "ReplicaFailure"),
    }
    let next = next_look(deployment, &status, deadline, now);
    (changed(deployment, status), next)
}

/// The status that tells of a ReplicaSet just made.
pub(super) fn of_creation(deployment: &Deployment, set: &str, now: Timestamp) -> Option<DeploymentStatus> {
    view::progress_deadline(deployment)?;
    let mut status = deployment.status.clone().unwrap_or_default();
    let message = format!("Created new replica set \"{set}\"");
    set_progressing(&mut status, "True", "NewReplicaSetCreated", message, now);
    changed(deployment, status)
}

/// Whether every wanted pod is of the newest template and available.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = view::replicas(deployment);
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
}

/// Puts in the Progressing condition.
pub(super) fn set_progressing(
    status: &mut DeploymentStatus,
    truth: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) {
    conditions::set(&mut status.conditions, progressing(truth, reason, message, now));
}

fn progressing(truth: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    condition(PROGRESSING, truth, reason, message, now)
}

fn condition(kind: &str, truth: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.into(),
        status: truth.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

fn numbers(deployment: &Deployment, sets: &Sets, now: Timestamp) -> DeploymentStatus {
    let before = deployment.status.clone().unwrap_or_default();
    let all = || sets.all().map(|set| &**set);
    let status_sum = |number: fn(&ReplicaSet) -> i32| view::sum(all(), number);
    let total = status_sum(|set| set.status.as_ref().map_or(0, |status| status.replicas));
    let available = status_sum(view::available_of);
    let ready = status_sum(|set| set.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0));
    let terminating = status_sum(|set| set.status.as_ref().and_then(|s| s.terminating_replicas).unwrap_or(0));
    let updated = sets.new.as_ref().and_then(|set| set.status.as_ref()).map_or(0, |status| status.replicas);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(total),
        updated_replicas: some(updated),
        ready_replicas: some(ready),
        available_replicas: some(available),
        unavailable_replicas: some((total - available).max(0)),
        terminating_replicas: Some(terminating),
        collision_count: before.collision_count,
        conditions: before.conditions,
    };
    let enough = available >= view::replicas(deployment) - view::max_unavailable(deployment);
    let available = if enough {
        let message = "Deployment has minimum availability.";
        condition("Available", "True", "MinimumReplicasAvailable", message.into(), now)
    } else {
        let message = "Deployment does not have minimum availability.";
        condition("Available", "False", "MinimumReplicasUnavailable", message.into(), now)
    };
    conditions::set(&mut status.conditions, available);
    status
}

fn changed(deployment: &Deployment, status: DeploymentStatus) -> Option<DeploymentStatus> {
    (deployment.status.as_ref() != Some(&status)).then_some(status)
}

fn made_progress(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let number = |number: Option<i32>| number.unwrap_or(0);
    let old = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(after.updated_replicas) > number(before.updated_replicas)
        || old(after) < old(before)
        || number(after.ready_replicas) > number(before.ready_replicas)
        || number(after.available_replicas) > number(before.available_replicas)
}

fn timed_out(current: Option<&DeploymentCondition>, deadline: i32, now: Timestamp) -> bool {
    let Some(current) = current else { return false };
    match current.reason.as_deref() {
        Some(COMPLETE) => false,
        Some(TIMED_OUT) => true,
        _ => current
            .last_update_time
            .as_ref()
            .is_some_and(|since| since.0 + jiff::SignedDuration::from_secs(i64::from(deadline)) < now),
    }
}

fn next_look(
    deployment: &Deployment,
    status: &DeploymentStatus,
    deadline: Option<i32>,
    now: Timestamp,
) -> Next {
    let current = conditions::find(&status.conditions, PROGRESSING);
    let (Some(deadline), Some(current)) = (deadline, current) else { return Next::Done };
    if is_complete(deployment, status) || current.reason.as_deref() == Some(TIMED_OUT) {
        return Next::Done;
    }
    let Some(since) = &current.last_update_time else { return Next::Done };
    let due = since.0 + jiff::SignedDuration::from_secs(i64::from(deadline));
    let left = Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO);
    // Times are written in whole seconds.
    Next::After(left + Duration::from_secs(1))
}

/// The first failure of a ReplicaSet, the newest one's first.
fn failure(sets: &Sets) -> Option<DeploymentCondition> {
    sets.new.iter().chain(&sets.old).find_map(|set| {
        let status = set.status.as_ref()?;
        let failure = conditions::find(&status.conditions, "ReplicaFailure")?;
        Some(DeploymentCondition {
            type_: failure.type_.clone(),
            status: failure.status.clone(),
            reason: failure.reason.clone(),
            message: failure.message.clone(),
            last_transition_time: failure.last_transition_time.clone(),
            last_update_time: failure.last_transition_time.clone(),
        })
    })
}

fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
