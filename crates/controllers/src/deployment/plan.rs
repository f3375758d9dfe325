//! What a Deployment does next, out of its ReplicaSets and the time.

use std::sync::Arc;

use cox_client::Next;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use serde_json::Value;

use super::{history, new_set, paused, rolling, scale, status, view};
use crate::common::hash::same_template;
use crate::common::owner::uid;

/// What is known.
pub(crate) struct Input<'a> {
    pub(crate) deployment: &'a Deployment,
    /// The ReplicaSets that it controls.
    pub(crate) sets: &'a [Arc<ReplicaSet>],
    /// uids of ReplicaSets with pods that haven't ended.
    pub(crate) running: &'a [String],
}

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Make the ReplicaSet of the current template.
    CreateSet(Box<ReplicaSet>),
    /// Merge into a ReplicaSet, if it is still this version; `scaled` is told as an event.
    PatchSet { set: Arc<ReplicaSet>, patch: Value, scaled: Option<(i32, i32)> },
    /// Delete an old ReplicaSet, if it is still this version.
    DeleteSet(Arc<ReplicaSet>),
    /// Merge into the Deployment.
    PatchDeployment(Value),
    /// Replace the status.
    UpdateStatus(Box<DeploymentStatus>),
}

/// What to do now, and when to look again by the clock.
pub(crate) struct Step {
    pub(crate) actions: Vec<Action>,
    pub(crate) next: Next,
}

/// The ReplicaSets of a Deployment, oldest first.
pub(super) struct Sets {
    pub(super) new: Option<Arc<ReplicaSet>>,
    pub(super) old: Vec<Arc<ReplicaSet>>,
}

impl Sets {
    fn of(input: &Input<'_>) -> Sets {
        let mut sets = input.sets.to_vec();
        sets.sort_by(|a, b| {
            let key = |set: &ReplicaSet| (set.metadata.creation_timestamp.clone(), set.metadata.name.clone());
            key(a).cmp(&key(b))
        });
        let template = input.deployment.spec.as_ref().map(|spec| &spec.template);
        let new = template.and_then(|template| {
            sets.iter().find(|set| same_template(&view::template_of(set), template)).cloned()
        });
        let old = sets
            .into_iter()
            .filter(|set| new.as_ref().is_none_or(|new| uid(&**new) != uid(&**set)))
            .collect();
        Sets { new, old }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }
}

/// Decides.
pub(crate) fn plan(input: &Input<'_>, now: Timestamp) -> Step {
    let deployment = input.deployment;
    let sets = Sets::of(input);
    if deployment.metadata.deletion_timestamp.is_some() {
        return finish(Vec::new(), status::plain(deployment, &sets, now), Next::Done);
    }
    if let Some(status) = paused::condition(deployment, now) {
        let actions = vec![Action::UpdateStatus(Box::new(status))];
        return Step { actions, next: Next::Done };
    }
    if view::is_paused(deployment) || scale::is_scaling(deployment, &sets) {
        let mut actions = Vec::new();
        if let Some(new) = &sets.new {
            new_set::update_existing(deployment, new, &sets, &mut actions);
        }
        if actions.is_empty() {
            actions = scale::proportionally(deployment, &sets);
        }
        if actions.is_empty() && view::is_paused(deployment) {
            actions = history::cleanup(deployment, &sets);
        }
        return finish(actions, status::plain(deployment, &sets, now), Next::Done);
    }
    let actions = if view::is_recreate(deployment) {
        recreate(input, &sets)
    } else {
        rolling::actions(deployment, &sets)
    };
    if let Some(created) = created(&actions) {
        // The numbers tell of what is there: the new ReplicaSet is counted by the next look.
        let status = status::of_creation(deployment, created, now);
        return finish(actions, status, Next::Done);
    }
    let done = status::is_complete(deployment, &deployment.status.clone().unwrap_or_default());
    let mut actions = actions;
    if actions.is_empty() && done {
        actions = history::cleanup(deployment, &sets);
    }
    let (status, next) = status::rollout(deployment, &sets, now);
    finish(actions, status, next)
}

fn created(actions: &[Action]) -> Option<&str> {
    actions.iter().find_map(|action| match action {
        Action::CreateSet(set) => set.metadata.name.as_deref(),
        _ => None,
    })
}

fn finish(mut actions: Vec<Action>, status: Option<DeploymentStatus>, next: Next) -> Step {
    if let Some(status) = status {
        actions.push(Action::UpdateStatus(Box::new(status)));
    }
    Step { actions, next }
}

/// All old pods go before the first new one comes.
fn recreate(input: &Input<'_>, sets: &Sets) -> Vec<Action> {
    let deployment = input.deployment;
    let mut actions = Vec::new();
    if let Some(new) = &sets.new {
        new_set::update_existing(deployment, new, sets, &mut actions);
        if !actions.is_empty() {
            return actions;
        }
    }
    for set in sets.old.iter().filter(|set| view::replicas_of(set) > 0) {
        actions.extend(scale::to(deployment, set, 0));
    }
    if !actions.is_empty() {
        return actions;
    }
    if sets.old.iter().any(|set| input.running.iter().any(|running| running == uid(&**set))) {
        return actions;
    }
    match &sets.new {
        None => new_set::create(deployment, sets, view::replicas(deployment)),
        Some(new) => scale::to(deployment, new, view::replicas(deployment)).into_iter().collect(),
    }
}
