//! Deployment: rolls ReplicaSets over within bounds.

pub(crate) mod annotations;
mod history;
mod new_set;
mod paused;
pub(crate) mod plan;
mod rolling;
mod scale;
mod status;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::{DeleteOptions, EventType, Key, Next, Queue, Reader, Result, Selector, revision_of};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::common::context::Context;
use crate::common::hash::same_template;
use crate::common::owner::{controller_of, is_controlled_by, name, namespace, uid};
use crate::common::{claim, trigger};
use plan::{Action, Input, Step};

/// Keys looked at together.
const WORKERS: usize = 16;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let deployments = context.informers.of::<Deployment>();
    let sets = context.informers.of::<ReplicaSet>();
    let pods = context.informers.of::<Pod>();
    let queue = Queue::<Key>::new(context.env.clone(), "deployment");
    trigger::on_itself(&deployments, &queue);
    trigger::on_children(&sets, &deployments, &queue, |deployment: &Deployment| {
        Selector::of(deployment.spec.as_ref().map(|spec| &spec.selector))
    });
    on_last_pod_gone(&pods, &sets, &deployments, &queue);
    context.informers.synced().await;
    let shell = Arc::new(Shell { context, deployments, sets, pods });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

/// A Recreate rollout goes on when the last old pod is gone.
fn on_last_pod_gone(
    pods: &Reader<Pod>,
    sets: &Reader<ReplicaSet>,
    deployments: &Reader<Deployment>,
    queue: &Queue<Key>,
) {
    let (sets, deployments, queue) = (sets.clone(), deployments.clone(), queue.clone());
    pods.on_change(move |change| {
        let pod = change.latest();
        let ended = change.new.as_ref().is_none_or(|pod| crate::common::pods::is_terminal(pod));
        if !ended {
            return;
        }
        let set = controller_of(&pod.metadata).and_then(|owner| sets.by_uid(&owner.uid));
        let Some(set) = set else { return };
        let above = controller_of(&set.metadata).and_then(|owner| deployments.by_uid(&owner.uid));
        if let Some(deployment) = above.filter(|deployment| view::is_recreate(deployment)) {
            queue.add(Key::of(&*deployment));
        }
    });
}

struct Shell {
    context: Context,
    deployments: Reader<Deployment>,
    sets: Reader<ReplicaSet>,
    pods: Reader<Pod>,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(deployment) = self.deployments.at(key) else { return Ok(Next::Done) };
        let selector = Selector::of(deployment.spec.as_ref().map(|spec| &spec.selector));
        if selector.is_everything() {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.context.events.event(&*deployment, EventType::Warning, "SelectingAll", message);
            return Ok(Next::Done);
        }
        let mut candidates = self.sets.owned_by(uid(&*deployment));
        candidates.extend(
            self.sets
                .selected(&key.namespace, &selector)
                .into_iter()
                .filter(|set| controller_of(&set.metadata).is_none()),
        );
        let claim = claim::plan(&*deployment, &selector, candidates);
        let changed = !claim.adopt.is_empty() || !claim.release.is_empty();
        let (sets, seen) = claim::execute(&self.context, &*deployment, claim).await?;
        if changed {
            self.sets.wait_until_seen(seen).await;
        }
        let old_pods_run = |set: &ReplicaSet| {
            self.pods.owned_by(uid(set)).iter().any(|pod| !crate::common::pods::is_terminal(pod))
        };
        let running: Vec<String> =
            sets.iter().filter(|set| old_pods_run(set)).map(|set| uid(&**set).to_owned()).collect();
        let input = Input { deployment: &deployment, sets: &sets, running: &running };
        let Step { actions, next } = plan::plan(&input, self.context.env.now());
        for action in actions {
            self.execute(&deployment, action).await?;
        }
        Ok(next)
    }

    async fn execute(&self, deployment: &Arc<Deployment>, action: Action) -> Result<()> {
        let client = &self.context.client;
        let events = &self.context.events;
        match action {
            Action::CreateSet(set) => self.create_set(deployment, *set).await?,
            Action::PatchSet { set, patch, scaled } => {
                let mut patch = patch;
                patch["metadata"]["uid"] = json!(uid(&*set));
                patch["metadata"]["resourceVersion"] = json!(set.metadata.resource_version);
                let patched = client
                    .patch::<ReplicaSet>(namespace(&*set), name(&*set), PatchKind::Merge, patch)
                    .await?;
                if let Some((from, to)) = scaled {
                    let way = if to > from { "up" } else { "down" };
                    let message = format!("Scaled {way} replica set {} from {from} to {to}", name(&*set));
                    events.event(&**deployment, EventType::Normal, "ScalingReplicaSet", message);
                }
                self.sets.wait_until_seen_object(&patched).await;
            }
            Action::DeleteSet(set) => {
                let options = DeleteOptions {
                    resource_version: set.metadata.resource_version.clone(),
                    ..DeleteOptions::uid(uid(&*set))
                };
                match client.delete::<ReplicaSet>(namespace(&*set), name(&*set), &options).await {
                    Ok(_) => self.sets.wait_until_deleted(&Key::of(&*set), uid(&*set)).await,
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
            Action::PatchDeployment(patch) => {
                let mut patch = patch;
                patch["metadata"]["uid"] = json!(uid(&**deployment));
                let patched = client
                    .patch::<Deployment>(
                        namespace(&**deployment),
                        name(&**deployment),
                        PatchKind::Merge,
                        patch,
                    )
                    .await?;
                self.deployments.wait_until_seen_object(&patched).await;
            }
            Action::UpdateStatus(status) => self.update_status(deployment, *status).await?,
        }
        Ok(())
    }

    /// Writes the status on top of whatever version this look has written itself (annotations).
    async fn update_status(
        &self,
        deployment: &Arc<Deployment>,
        status: k8s_openapi::api::apps::v1::DeploymentStatus,
    ) -> Result<()> {
        let newest = self.deployments.at(&Key::of(&**deployment)).unwrap_or_else(|| deployment.clone());
        if uid(&*newest) != uid(&**deployment) || newest.status != deployment.status {
            // Somebody else has written meanwhile, and the next look is asked for already.
            return Ok(());
        }
        let updated = Deployment { status: Some(status), ..(*newest).clone() };
        let written = self.context.client.update_status(&updated).await?;
        self.deployments.wait_until_seen_object(&written).await;
        Ok(())
    }

    async fn create_set(&self, deployment: &Arc<Deployment>, set: ReplicaSet) -> Result<()> {
        let client = &self.context.client;
        match client.create(&set).await {
            Ok(made) => {
                let count = view::replicas_of(&made);
                if count > 0 {
                    let message = format!("Scaled up replica set {} from 0 to {count}", name(&*made));
                    self.context.events.event(&**deployment, EventType::Normal, "ScalingReplicaSet", message);
                }
                self.sets.wait_until_seen(revision_of(&*made)).await;
                Ok(())
            }
            Err(error) if error.is_already_exists() => {
                let there = client.get::<ReplicaSet>(namespace(&set), name(&set)).await?;
                let template = |set: &ReplicaSet| view::template_of(set);
                if is_controlled_by(&there.metadata, &**deployment)
                    && same_template(&template(&there), &template(&set))
                {
                    // Made by an earlier look whose answer was lost.
                    self.sets.wait_until_seen(revision_of(&*there)).await;
                    return Ok(());
                }
                // Another template with the same hash: the next name has another number in it.
                let mut status = deployment.status.clone().unwrap_or_default();
                status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
                self.update_status(deployment, status).await?;
                Err(error)
            }
            Err(error) if error.is_namespace_terminating() => Ok(()),
            Err(error) => {
                let message = format!("Failed to create new replica set {:?}: {error}", name(&set));
                self.context.events.event(
                    &**deployment,
                    EventType::Warning,
                    "ReplicaSetCreateError",
                    message.clone(),
                );
                if view::progress_deadline(deployment).is_some() {
                    let mut status = deployment.status.clone().unwrap_or_default();
                    let now = self.context.env.now();
                    status::set_progressing(&mut status, "False", "ReplicaSetCreateError", message, now);
                    self.update_status(deployment, status).await?;
                }
                Err(error)
            }
        }
    }
}
