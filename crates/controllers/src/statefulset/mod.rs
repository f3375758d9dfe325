//! StatefulSet: pods with a name, a place and claims of their own.

pub(crate) mod plan;
mod template;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use cox_client::{DeleteOptions, EventType, Key, Next, Queue, Reader, Result, Selector, revision_of};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use crate::common::context::Context;
use crate::common::owner::{controller_of, is_controlled_by, name, namespace, uid};
use crate::common::{claim, pods, revisions, trigger};
use plan::Input;

/// Keys looked at together, as upstream's `--concurrent-statefulset-syncs`.
const WORKERS: usize = 5;
/// The label of revisions. Pods carry the revision's name instead.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let sets = context.informers.of::<StatefulSet>();
    let pods = context.informers.of::<Pod>();
    let history = context.informers.of::<ControllerRevision>();
    let queue = Queue::<Key>::new(context.env.clone(), "statefulset");
    trigger::on_itself(&sets, &queue);
    trigger::on_children(&pods, &sets, &queue, selector);
    for informer in [sets.informed(), pods.informed(), history.informed()] {
        informer.synced().await;
    }
    let shell = Arc::new(Shell { context, sets, pods, history });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

fn selector(set: &StatefulSet) -> Selector {
    Selector::of(set.spec.as_ref().map(|spec| &spec.selector))
}

struct Shell {
    context: Context,
    sets: Reader<StatefulSet>,
    pods: Reader<Pod>,
    history: Reader<ControllerRevision>,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(set) = self.sets.at(key) else { return Ok(Next::Done) };
        let Some(spec) = &set.spec else { return Ok(Next::Done) };
        let selector = selector(&set);
        let mut candidates = self.pods.owned_by(uid(&*set));
        candidates.extend(
            self.pods.selected(&key.namespace, &selector).into_iter().filter(|pod| {
                controller_of(&pod.metadata).is_none() && template::ordinal(&set, pod).is_some()
            }),
        );
        let claim = claim::plan(&*set, &selector, candidates);
        let (held, seen) = claim::execute(&self.context, &*set, claim).await?;
        self.pods.wait_until_seen(seen).await;
        let Some(update) = self.update_revision(&set).await? else { return Ok(Next::Done) };
        let told = set.status.as_ref().and_then(|status| status.current_revision.clone());
        let current = told
            .filter(|name| self.history.get(&key.namespace, name).is_some())
            .unwrap_or_else(|| update.clone());
        let input = Input { set: &set, pods: &held, current: &current, update: &update };
        let now = self.context.env.now();
        let plan = plan::plan(&input, now);
        for (reason, message) in plan.events {
            self.context.events.event(&*set, EventType::Warning, reason, message);
        }
        for pod in &plan.delete {
            self.delete(&set, pod).await?;
        }
        for (ordinal, revision) in &plan.create {
            self.create(&set, *ordinal, revision).await?;
        }
        if let Some(status) = plan.status {
            let updated = StatefulSet { status: Some(status), ..(*set).clone() };
            match self.context.client.update_status(&updated).await {
                Ok(written) => self.sets.wait_until_seen_object(&written).await,
                Err(error) if error.is_not_found() => return Ok(Next::Done),
                Err(error) => return Err(error),
            }
        }
        let limit = spec.revision_history_limit.unwrap_or(10);
        let in_use = |revision: &ControllerRevision| {
            let used = name(revision);
            used == current || used == update || held.iter().any(|pod| template::revision(pod) == used)
        };
        let history = self.history.owned_by(uid(&*set));
        revisions::delete(&self.context, &self.history, &revisions::surplus(&history, limit, in_use)).await?;
        let seconds = spec.min_ready_seconds.unwrap_or(0);
        let waits = held.iter().filter_map(|pod| pods::until_available(pod, seconds, now));
        Ok(waits.filter(|left| *left > Duration::ZERO).min().map_or(Next::Done, Next::After))
    }

    /// The name of the current template's revision; none where the name was taken and a collision was counted.
    async fn update_revision(&self, set: &Arc<StatefulSet>) -> Result<Option<String>> {
        let Some(spec) = &set.spec else { return Ok(None) };
        let collisions = set.status.as_ref().and_then(|status| status.collision_count);
        let history = self.history.owned_by(uid(&**set));
        let step = revisions::plan(name(&**set), &spec.template, collisions, &history);
        let context = &self.context;
        match revisions::ensure(context, &self.history, &**set, &spec.template, HASH_LABEL, step).await {
            Ok(name) => Ok(Some(name)),
            Err(Some(error)) if error.is_namespace_terminating() => Ok(None),
            Err(Some(error)) => Err(error),
            Err(None) => {
                let mut status = set.status.clone().unwrap_or_default();
                status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
                let updated = StatefulSet { status: Some(status), ..(**set).clone() };
                let written = context.client.update_status(&updated).await?;
                self.sets.wait_until_seen_object(&written).await;
                Ok(None)
            }
        }
    }

    async fn create(&self, set: &Arc<StatefulSet>, ordinal: i32, revision: &str) -> Result<()> {
        let Some(spec) = &set.spec else { return Ok(()) };
        let kept = self.history.get(namespace(&**set), revision);
        let template = kept.as_deref().and_then(revisions::template).unwrap_or_else(|| spec.template.clone());
        let pod = template::pod(set, &template, revision, ordinal);
        let (set_name, pod_name) = (name(&**set), name(&pod));
        let events = &self.context.events;
        for claim in template::claims(set, ordinal) {
            match self.context.client.create::<PersistentVolumeClaim>(&claim).await {
                Ok(_) => {
                    let message = format!(
                        "create Claim {} Pod {pod_name} in StatefulSet {set_name} success",
                        name(&claim)
                    );
                    events.event(&**set, EventType::Normal, "SuccessfulCreate", message);
                }
                Err(error) if error.is_already_exists() => {}
                Err(error) => {
                    let message = format!(
                        "create Claim {} for Pod {pod_name} in StatefulSet {set_name} failed error: {error}",
                        name(&claim)
                    );
                    events.event(&**set, EventType::Warning, "FailedCreate", message);
                    return Err(error);
                }
            }
        }
        match self.context.client.create(&pod).await {
            Ok(made) => {
                let message = format!("create Pod {pod_name} in StatefulSet {set_name} successful");
                events.event(&**set, EventType::Normal, "SuccessfulCreate", message);
                self.pods.wait_until_seen(revision_of(&*made)).await;
                Ok(())
            }
            Err(error) if error.is_namespace_terminating() => Ok(()),
            Err(error) if error.is_already_exists() => {
                let there = self.context.client.find::<Pod>(namespace(&**set), pod_name).await?;
                // Made by an earlier look whose answer was lost; anybody else's has to go first.
                if let Some(there) = there.filter(|there| is_controlled_by(&there.metadata, &**set)) {
                    self.pods.wait_until_seen(revision_of(&*there)).await;
                    return Ok(());
                }
                Err(error)
            }
            Err(error) => {
                let message =
                    format!("create Pod {pod_name} in StatefulSet {set_name} failed error: {error}");
                events.event(&**set, EventType::Warning, "FailedCreate", message);
                Err(error)
            }
        }
    }

    async fn delete(&self, set: &StatefulSet, pod: &Pod) -> Result<()> {
        let options = DeleteOptions::uid(uid(pod));
        let (set_name, pod_name) = (name(set), name(pod));
        match self.context.client.delete::<Pod>(namespace(pod), pod_name, &options).await {
            Ok(_) => {
                let message = format!("delete Pod {pod_name} in StatefulSet {set_name} successful");
                self.context.events.event(set, EventType::Normal, "SuccessfulDelete", message);
            }
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => {
                let message =
                    format!("delete Pod {pod_name} in StatefulSet {set_name} failed error: {error}");
                self.context.events.event(set, EventType::Warning, "FailedDelete", message);
                return Err(error);
            }
        }
        self.pods.wait_until_deleted(&Key::of(pod), uid(pod)).await;
        Ok(())
    }
}
