//! RollingUpdate: new pods come and old ones go, never more than the surge above and never more than the
//! unavailable below.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::plan::{Action, Sets};
use super::{new_set, scale, view};

/// The next step of a rollout: first growing, then shrinking.
pub(super) fn actions(deployment: &Deployment, sets: &Sets) -> Vec<Action> {
    let Some(new) = &sets.new else {
        return new_set::create(deployment, sets, new_size(deployment, sets));
    };
    let mut actions = Vec::new();
    new_set::update_existing(deployment, new, sets, &mut actions);
    if actions.iter().any(|action| matches!(action, Action::PatchSet { .. })) {
        return actions;
    }
    let wanted = view::replicas(deployment);
    let held = view::replicas_of(new);
    let size = if held > wanted { wanted } else { new_size(deployment, sets) };
    if held != size {
        actions.extend(scale::to(deployment, new, size));
        return actions;
    }
    actions.extend(shrink_old(deployment, sets, new));
    actions
}

/// How large the newest ReplicaSet may be now.
fn new_size(deployment: &Deployment, sets: &Sets) -> i32 {
    let wanted = view::replicas(deployment);
    let held = sets.new.as_ref().map_or(0, |set| view::replicas_of(set));
    let total = view::sum(sets.all().map(|set| &**set), view::replicas_of);
    let most = wanted + view::max_surge(deployment);
    if total >= most {
        return held;
    }
    held + (most - total).min(wanted - held)
}

fn shrink_old(deployment: &Deployment, sets: &Sets, new: &ReplicaSet) -> Vec<Action> {
    let old: Vec<&Arc<ReplicaSet>> = sets.old.iter().filter(|set| view::replicas_of(set) > 0).collect();
    if old.is_empty() {
        return Vec::new();
    }
    let total = view::sum(sets.all().map(|set| &**set), view::replicas_of);
    let least = view::replicas(deployment) - view::max_unavailable(deployment);
    let new_unavailable = view::replicas_of(new) - view::kept_available_of(new);
    let most_down = total - least - new_unavailable;
    if most_down <= 0 {
        return Vec::new();
    }
    let mut sizes: Vec<i32> = old.iter().map(|set| view::replicas_of(set)).collect();
    // Unavailable old pods go first: nobody misses them, and they may block the rollout.
    let mut cleaned = 0;
    for (set, size) in old.iter().zip(&mut sizes) {
        let down = (most_down - cleaned).min(*size - view::kept_available_of(set)).max(0);
        *size -= down;
        cleaned += down;
    }
    let available = view::sum(sets.all().map(|set| &**set), view::kept_available_of);
    let mut left = (available - least).max(0);
    for size in &mut sizes {
        let down = left.min(*size);
        *size -= down;
        left -= down;
    }
    old.into_iter()
        .zip(sizes)
        .filter(|(set, size)| view::replicas_of(set) != *size)
        .filter_map(|(set, size)| scale::to(deployment, set, size))
        .collect()
}
