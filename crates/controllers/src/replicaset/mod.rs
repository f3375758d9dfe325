//! ReplicaSet (and, through [`Replicated`], ReplicationController): keeps as many pods as wanted.

mod kinds;
pub(crate) mod plan;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cox_client::{
    DeleteOptions, Error, EventType, Key, Kind, Next, Queue, Reader, Result, Selector, revision_of,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};

use crate::common::batches::slow_start;
use crate::common::context::Context;
use crate::common::owner::{controller_of, controller_reference, name, namespace, uid};
use crate::common::{claim, pods, trigger};
use plan::{Counts, Scale};

/// A kind that keeps a number of pods.
pub(crate) trait Replicated: Kind + Clone {
    /// For logs.
    const QUEUE: &'static str;
    /// `spec.replicas`.
    fn replicas(&self) -> i32;
    /// `spec.minReadySeconds`.
    fn min_ready_seconds(&self) -> i32;
    /// `spec.selector`.
    fn selector(&self) -> Selector;
    /// `spec.template`.
    fn template(&self) -> PodTemplateSpec;
    /// The object with the status that these counts and this failure make; none where it has that already.
    fn with_status(&self, counts: &Counts, failure: Option<&Failure>, now: Timestamp) -> Option<Self>;
}

/// Why pods could not be made or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `FailedCreate` or `FailedDelete`.
    pub(crate) reason: &'static str,
    /// The first error's text.
    pub(crate) message: String,
}

/// Keys looked at together.
const WORKERS: usize = 16;

/// Runs the controller for one kind for as long as the component lives.
pub(crate) async fn run<O: Replicated>(context: Context) {
    let owners = context.informers.of::<O>();
    let pods = context.informers.of::<Pod>();
    let queue = Queue::<Key>::new(context.env.clone(), O::QUEUE);
    trigger::on_itself(&owners, &queue);
    trigger::on_children(&pods, &owners, &queue, O::selector);
    owners.synced().await;
    pods.synced().await;
    let shell = Arc::new(Shell { context, owners, pods });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

struct Shell<O> {
    context: Context,
    owners: Reader<O>,
    pods: Reader<Pod>,
}

impl<O: Replicated> Shell<O> {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(owner) = self.owners.at(key) else { return Ok(Next::Done) };
        let selector = owner.selector();
        let mut candidates = self.pods.owned_by(uid(&*owner));
        candidates.extend(
            self.pods
                .selected(&key.namespace, &selector)
                .into_iter()
                .filter(|pod| controller_of(&pod.metadata).is_none()),
        );
        // Ended pods are not worth adopting or releasing, but they are no replicas either.
        candidates.retain(|pod| !pods::is_terminal(pod));
        let claim = claim::plan(&*owner, &selector, candidates);
        let (held, seen) = claim::execute(&self.context, &*owner, claim).await?;
        let now = self.context.env.now();
        let active: Vec<Arc<Pod>> = held.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
        let counts = plan::count(&*owner, &held, now);
        let scale = if owner.metadata().deletion_timestamp.is_some() {
            Scale::Nothing
        } else {
            plan::scale(owner.replicas(), &active, || self.related(&*owner), now)
        };
        let failed = match scale {
            Scale::Nothing => None,
            Scale::Create(count) => self.create(&owner, count).await,
            Scale::Delete(pods) => self.delete(&*owner, &pods).await,
        };
        if seen > 0 {
            self.pods.wait_until_seen(seen).await;
        }
        let failure = failed.as_ref().map(|(reason, error)| Failure { reason, message: error.to_string() });
        if let Some(updated) = owner.with_status(&counts, failure.as_ref(), now) {
            match self.context.client.update_status(&updated).await {
                Ok(written) => self.owners.wait_until_seen_object(&written).await,
                Err(error) if error.is_not_found() => return Ok(Next::Done),
                Err(error) => return Err(error),
            }
        }
        if let Some((_, error)) = failed {
            return Err(error);
        }
        Ok(plan::next_look(&active, owner.min_ready_seconds(), now))
    }

    /// Every pod of every ReplicaSet that has the same owner.
    fn related(&self, owner: &O) -> Vec<Arc<Pod>> {
        let Some(above) = controller_of(owner.metadata()) else { return self.pods.owned_by(uid(owner)) };
        let siblings = self.owners.owned_by(&above.uid);
        siblings.iter().flat_map(|sibling| self.pods.owned_by(uid(&**sibling))).collect()
    }

    async fn create(&self, owner: &Arc<O>, count: usize) -> Option<(&'static str, Error)> {
        let pod = pods::from_template(&owner.template(), namespace(&**owner), controller_reference(&**owner));
        let (made, failure) = slow_start(count, |_| self.context.client.create(&pod)).await;
        let mut seen = 0;
        for pod in &made {
            seen = seen.max(revision_of(&**pod));
            let message = format!("Created pod: {}", name(&**pod));
            self.context.events.event(&**owner, EventType::Normal, "SuccessfulCreate", message);
        }
        self.pods.wait_until_seen(seen).await;
        let error = failure?;
        // The namespace is going away, and so is the owner: nothing to tell anybody.
        if error.is_namespace_terminating() {
            return None;
        }
        let message = format!("Error creating: {error}");
        self.context.events.event(&**owner, EventType::Warning, "FailedCreate", message);
        Some(("FailedCreate", error))
    }

    async fn delete(&self, owner: &O, doomed: &[Arc<Pod>]) -> Option<(&'static str, Error)> {
        let deletions = doomed.iter().map(|pod| async move {
            let options = DeleteOptions::uid(uid(&**pod));
            let deleted = self.context.client.delete::<Pod>(namespace(&**pod), name(&**pod), &options).await;
            match deleted {
                Ok(_) => {
                    let message = format!("Deleted pod: {}", name(&**pod));
                    self.context.events.event(owner, EventType::Normal, "SuccessfulDelete", message);
                }
                Err(error) if error.is_not_found() || error.is_conflict() => {}
                Err(error) => {
                    let message = format!("Error deleting: {error}");
                    self.context.events.event(owner, EventType::Warning, "FailedDelete", message);
                    return Some(error);
                }
            }
            self.pods.wait_until_deleted(&Key::of(&**pod), uid(&**pod)).await;
            None
        });
        let failures = futures::future::join_all(deletions).await;
        failures.into_iter().flatten().next().map(|error| ("FailedDelete", error))
    }
}
