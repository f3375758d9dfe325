//! Changing sizes: one ReplicaSet, or all of them in proportion when the Deployment itself is scaled.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use serde_json::json;

use super::annotations::{DESIRED_REPLICAS, MAX_REPLICAS, number};
use super::new_set::size_annotations;
use super::plan::{Action, Sets};
use super::view;
use crate::common::owner::{annotation, name};

/// Gives a ReplicaSet a size, and notes the Deployment's size on it.
pub(super) fn to(deployment: &Deployment, set: &Arc<ReplicaSet>, replicas: i32) -> Option<Action> {
    let from = view::replicas_of(set);
    let noted = size_annotations(deployment);
    let stale = noted.iter().any(|(key, value)| annotation(&set.metadata, key) != Some(value));
    if from == replicas && !stale {
        return None;
    }
    let patch = json!({"metadata": {"annotations": noted}, "spec": {"replicas": replicas}});
    Some(Action::PatchSet { set: set.clone(), patch, scaled: (from != replicas).then_some((from, replicas)) })
}

/// Whether the Deployment's size was changed since a ReplicaSet with pods was given its size.
pub(super) fn is_scaling(deployment: &Deployment, sets: &Sets) -> bool {
    sets.all()
        .filter(|set| view::replicas_of(set) > 0)
        .any(|set| number(set, DESIRED_REPLICAS).is_some_and(|desired| desired != view::replicas(deployment)))
}

/// Spreads a change of the Deployment's size over its ReplicaSets.
pub(super) fn proportionally(deployment: &Deployment, sets: &Sets) -> Vec<Action> {
    let replicas = view::replicas(deployment);
    let active: Vec<&Arc<ReplicaSet>> = sets.all().filter(|set| view::replicas_of(set) > 0).collect();
    let single = match active.as_slice() {
        [] => sets.new.as_ref().or(sets.old.last()),
        [one] => Some(*one),
        _ => None,
    };
    if let Some(single) = single {
        return to(deployment, single, replicas).into_iter().collect();
    }
    if is_saturated(deployment, sets) {
        let old = sets.old.iter().filter(|set| view::replicas_of(set) > 0);
        return old.filter_map(|set| to(deployment, set, 0)).collect();
    }
    if active.is_empty() || view::is_recreate(deployment) {
        return Vec::new();
    }
    let total: i32 = active.iter().map(|set| view::replicas_of(set)).sum();
    let allowed = if replicas > 0 { replicas + view::max_surge(deployment) } else { 0 };
    let to_add = allowed - total;
    let mut ordered = active;
    // The largest first; of equal ones the newest grows first and the oldest shrinks first.
    ordered.sort_by(|a, b| {
        let age = |set: &ReplicaSet| (set.metadata.creation_timestamp.clone(), set.metadata.name.clone());
        let by_age = if to_add > 0 { age(b).cmp(&age(a)) } else { age(a).cmp(&age(b)) };
        view::replicas_of(b).cmp(&view::replicas_of(a)).then(by_age)
    });
    let mut added = 0;
    let mut sizes: Vec<i32> = Vec::new();
    for set in &ordered {
        let share = if to_add == 0 { 0 } else { share_of(deployment, set, to_add, added) };
        added += share;
        sizes.push(view::replicas_of(set) + share);
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    ordered.iter().zip(sizes).filter_map(|(set, size)| to(deployment, set, size)).collect()
}

/// Whether the newest ReplicaSet has all its pods, as many as wanted.
fn is_saturated(deployment: &Deployment, sets: &Sets) -> bool {
    let replicas = view::replicas(deployment);
    sets.new.as_ref().is_some_and(|new| {
        number(new, DESIRED_REPLICAS) == Some(replicas)
            && view::replicas_of(new) == replicas
            && view::available_of(new) == replicas
    })
}

/// What a ReplicaSet gets of a change, after its share of the pods there might be.
fn share_of(deployment: &Deployment, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
    let held = view::replicas_of(set);
    if held == 0 || to_add == added {
        return 0;
    }
    let fraction = if view::replicas(deployment) == 0 {
        -held
    } else {
        let most = view::replicas(deployment) + view::max_surge(deployment);
        let counted = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
        let before = number(set, MAX_REPLICAS).filter(|most| *most > 0).unwrap_or(counted);
        if before == 0 {
            tracing::debug!(set = name(set), "no share: neither annotated nor counted");
            return 0;
        }
        let size = f64::from(held) * f64::from(most) / f64::from(before);
        size.round() as i32 - held
    };
    let left = to_add - added;
    if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
}
