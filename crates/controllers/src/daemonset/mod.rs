//! DaemonSet: one pod on every node that fits.

pub(crate) mod plan;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use cox_client::{DeleteOptions, Error, EventType, Key, Next, Queue, Reader, Result, Selector, revision_of};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::common::batches::slow_start;
use crate::common::context::Context;
use crate::common::owner::{controller_of, name, namespace, uid};
use crate::common::revisions::{self, REVISION_LABEL};
use crate::common::{claim, pods, trigger};
use plan::{Input, Plan, node_of};

/// Keys looked at together, as upstream's `--concurrent-daemonset-syncs`.
const WORKERS: usize = 2;
/// The pause before a pod that failed on a node is replaced, doubled with each failure of the DaemonSet.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let sets = context.informers.of::<DaemonSet>();
    let pods = context.informers.of::<Pod>();
    let nodes = context.informers.of::<Node>();
    let history = context.informers.of::<ControllerRevision>();
    let queue = Queue::<Key>::new(context.env.clone(), "daemonset");
    trigger::on_itself(&sets, &queue);
    trigger::on_children(&pods, &sets, &queue, selector);
    let (all, on_nodes) = (sets.clone(), queue.clone());
    nodes.on_change(move |change| {
        // Heartbeats change nothing here.
        if let (Some(old), Some(new)) = (&change.old, &change.new) {
            let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone());
            if old.metadata.labels == new.metadata.labels && taints(old) == taints(new) {
                return;
            }
        }
        all.list().iter().for_each(|set| on_nodes.add(Key::of(&**set)));
    });
    for informer in [sets.informed(), pods.informed(), nodes.informed(), history.informed()] {
        informer.synced().await;
    }
    let shell = Arc::new(Shell { context, sets, pods, nodes, history });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

fn selector(set: &DaemonSet) -> Selector {
    Selector::of(set.spec.as_ref().map(|spec| &spec.selector))
}

struct Shell {
    context: Context,
    sets: Reader<DaemonSet>,
    pods: Reader<Pod>,
    nodes: Reader<Node>,
    history: Reader<ControllerRevision>,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(set) = self.sets.at(key) else { return Ok(Next::Done) };
        let Some(spec) = &set.spec else { return Ok(Next::Done) };
        let selector = selector(&set);
        if selector.is_everything() {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.context.events.event(&*set, EventType::Warning, "SelectingAll", message);
            return Ok(Next::Done);
        }
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Done);
        }
        let Some(hash) = self.current_hash(&set).await? else { return Ok(Next::Done) };
        let mut candidates = self.pods.owned_by(uid(&*set));
        candidates.extend(
            self.pods
                .selected(&key.namespace, &selector)
                .into_iter()
                .filter(|pod| controller_of(&pod.metadata).is_none()),
        );
        let claim = claim::plan(&*set, &selector, candidates);
        let (held, seen) = claim::execute(&self.context, &*set, claim).await?;
        let nodes = self.nodes.list();
        let input = Input { set: &set, nodes: &nodes, pods: &held, hash: &hash };
        let now = self.context.env.now();
        let plan = plan::plan(&input, now);
        let failed = !plan.events.is_empty();
        self.pods.wait_until_seen(seen).await;
        let outcome = self.execute(&set, plan).await;
        let limit = spec.revision_history_limit.unwrap_or(10);
        let history = self.history.owned_by(uid(&*set));
        let in_use = |revision: &ControllerRevision| {
            let of = revision.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL));
            of == Some(&hash)
                || held.iter().any(|pod| {
                    pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL)) == of
                })
        };
        revisions::delete(&self.context, &self.history, &revisions::surplus(&history, limit, in_use)).await?;
        outcome?;
        let ready_seconds = spec.min_ready_seconds.unwrap_or(0);
        let next = held
            .iter()
            .filter_map(|pod| pods::until_available(pod, ready_seconds, now))
            .filter(|left| *left > Duration::ZERO)
            .chain(failed.then_some(FAILURE_PAUSE))
            .min();
        Ok(next.map_or(Next::Done, Next::After))
    }

    /// The hash of the current template's revision; none where the name was taken and a collision was counted.
    async fn current_hash(&self, set: &Arc<DaemonSet>) -> Result<Option<String>> {
        let Some(spec) = &set.spec else { return Ok(None) };
        let collisions = set.status.as_ref().and_then(|status| status.collision_count);
        let history = self.history.owned_by(uid(&**set));
        let step = revisions::plan(name(&**set), &spec.template, collisions, &history);
        let made =
            revisions::ensure(&self.context, &self.history, &**set, &spec.template, REVISION_LABEL, step)
                .await;
        match made {
            Ok(current) => {
                let revision = self.history.get(namespace(&**set), &current);
                let hash = revision
                    .and_then(|revision| revision.metadata.labels.as_ref()?.get(REVISION_LABEL).cloned());
                Ok(hash)
            }
            Err(Some(error)) if error.is_namespace_terminating() => Ok(None),
            Err(Some(error)) => Err(error),
            Err(None) => {
                let mut status = set.status.clone().unwrap_or_default();
                status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
                let updated = DaemonSet { status: Some(status), ..(**set).clone() };
                let written = self.context.client.update_status(&updated).await?;
                self.sets.wait_until_seen_object(&written).await;
                Ok(None)
            }
        }
    }

    async fn execute(&self, set: &Arc<DaemonSet>, plan: Plan) -> Result<()> {
        let events = &self.context.events;
        for (warning, reason, message) in plan.events {
            let kind = if warning { EventType::Warning } else { EventType::Normal };
            events.event(&**set, kind, reason, message);
        }
        let mut failure: Option<Error> = None;
        for pod in &plan.delete {
            let options = DeleteOptions::uid(uid(&**pod));
            match self.context.client.delete::<Pod>(namespace(&**pod), name(&**pod), &options).await {
                Ok(_) => {
                    let message = format!("Deleted pod: {}", name(&**pod));
                    events.event(&**set, EventType::Normal, "SuccessfulDelete", message);
                }
                Err(error) if error.is_not_found() || error.is_conflict() => {}
                Err(error) => {
                    let message = format!("Error deleting: {error}");
                    events.event(&**set, EventType::Warning, "FailedDelete", message);
                    failure = Some(error);
                    break;
                }
            }
            self.pods.wait_until_deleted(&Key::of(&**pod), uid(&**pod)).await;
        }
        let client = &self.context.client;
        let (made, failed) = slow_start(plan.create.len(), |at| client.create(&plan.create[at])).await;
        let mut seen = 0;
        for pod in &made {
            seen = seen.max(revision_of(&**pod));
            events.event(
                &**set,
                EventType::Normal,
                "SuccessfulCreate",
                format!("Created pod: {}", name(&**pod)),
            );
            debug_assert!(node_of(pod).is_some());
        }
        self.pods.wait_until_seen(seen).await;
        if let Some(error) = failed {
            if error.is_namespace_terminating() {
                return Ok(());
            }
            events.event(&**set, EventType::Warning, "FailedCreate", format!("Error creating: {error}"));
            failure = failure.or(Some(error));
        }
        if let Some(status) = plan.status {
            let updated = DaemonSet { status: Some(status), ..(**set).clone() };
            match client.update_status(&updated).await {
                Ok(written) => self.sets.wait_until_seen_object(&written).await,
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}
