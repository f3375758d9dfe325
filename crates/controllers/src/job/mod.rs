//! Job: runs pods until enough of them have succeeded.

mod backoff;
mod failure_policy;
mod indexed;
mod indexes;
pub(crate) mod plan;
mod template;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::{DeleteOptions, EventType, Key, Next, Queue, Reader, Result, Selector, revision_of};
use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::common::batches::slow_start;
use crate::common::context::Context;
use crate::common::owner::{controller_of, name, namespace, refers_to, uid};
use crate::common::{claim, trigger};

/// Keys looked at together.
const WORKERS: usize = 16;
/// The controller named by `spec.managedBy` where that is this one.
const MANAGER: &str = "kubernetes.io/job-controller";

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let jobs = context.informers.of::<Job>();
    let pods = context.informers.of::<Pod>();
    let queue = Queue::<Key>::new(context.env.clone(), "job");
    let orphans = Queue::<Key>::new(context.env.clone(), "job-orphan");
    trigger::on_itself(&jobs, &queue);
    trigger::on_children(&pods, &jobs, &queue, selector);
    jobs.synced().await;
    on_orphans(&pods, &jobs, &orphans);
    pods.synced().await;
    let shell = Arc::new(Shell { context: context.clone(), jobs, pods });
    let freeing = shell.clone();
    context.env.spawn(async move {
        orphans
            .run(WORKERS, move |key| {
                let shell = freeing.clone();
                async move { shell.free_orphan(&key).await }
            })
            .await;
    });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

fn selector(job: &Job) -> Selector {
    Selector::of(job.spec.as_ref().and_then(|spec| spec.selector.as_ref()))
}

/// Pods whose Job is gone keep a finalizer that nobody else takes off.
fn on_orphans(pods: &Reader<Pod>, jobs: &Reader<Job>, queue: &Queue<Key>) {
    let (known, orphans) = (jobs.clone(), queue.clone());
    pods.on_change(move |change| {
        let Some(pod) = &change.new else { return };
        if view::has_finalizer(pod) && !belongs(pod, &known) {
            orphans.add(Key::of(&**pod));
        }
    });
    let (pods, orphans) = (pods.clone(), queue.clone());
    jobs.on_change(move |change| {
        if change.new.is_none() {
            for pod in pods.owned_by(uid(&**change.latest())) {
                orphans.add(Key::of(&*pod));
            }
        }
    });
}

fn belongs(pod: &Pod, jobs: &Reader<Job>) -> bool {
    controller_of(&pod.metadata)
        .is_some_and(|owner| refers_to::<Job>(owner) && jobs.by_uid(&owner.uid).is_some())
}

struct Shell {
    context: Context,
    jobs: Reader<Job>,
    pods: Reader<Pod>,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(job) = self.jobs.at(key) else { return Ok(Next::Done) };
        let Some(spec) = &job.spec else { return Ok(Next::Done) };
        if spec.managed_by.as_deref().is_some_and(|manager| manager != MANAGER) {
            return Ok(Next::Done);
        }
        let selector = selector(&job);
        let mut candidates = self.pods.owned_by(uid(&*job));
        candidates.extend(
            self.pods
                .selected(&key.namespace, &selector)
                .into_iter()
                .filter(|pod| controller_of(&pod.metadata).is_none() && view::has_finalizer(pod)),
        );
        let claim = claim::plan(&*job, &selector, candidates);
        let (held, mut seen) = claim::execute(&self.context, &*job, claim).await?;
        let mut plan = plan::plan(&job, &held, self.context.env.now());
        let next = plan.next();

        let deletions = plan.delete.iter().map(|pod| self.delete(&job, pod));
        let mut failure = join_all(deletions).await.into_iter().find_map(Result::err);
        let pods: Vec<Pod> = plan.create.iter().map(|slot| template::pod(&job, spec, *slot)).collect();
        let (made, failed) = slow_start(pods.len(), |at| self.context.client.create(&pods[at])).await;
        for pod in &made {
            seen = seen.max(revision_of(&**pod));
            let message = format!("Created pod: {}", name(&**pod));
            self.context.events.event(&*job, EventType::Normal, "SuccessfulCreate", message);
        }
        if let Some(error) = failed {
            if error.is_namespace_terminating() {
                return Ok(Next::Done);
            }
            let message = format!("Error creating: {error}");
            self.context.events.event(&*job, EventType::Warning, "FailedCreate", message);
            let missing = i32::try_from(pods.len() - made.len()).unwrap_or(0);
            if let Some(status) = &mut plan.status {
                status.active = status.active.map(|active| active - missing).filter(|active| *active > 0);
            }
            failure = failure.or(Some(error));
        }
        self.pods.wait_until_seen(seen).await;

        if let Some(status) = plan.status {
            let updated = Job { status: Some(status), ..(*job).clone() };
            match self.context.client.update_status(&updated).await {
                Ok(written) => self.jobs.wait_until_seen_object(&written).await,
                Err(error) if error.is_not_found() => return Ok(Next::Done),
                Err(error) => return Err(error),
            }
        }
        // Told only after it is written: a lost write is planned again.
        for (warning, reason, message) in plan.events {
            let kind = if warning { EventType::Warning } else { EventType::Normal };
            self.context.events.event(&*job, kind, reason, message);
        }
        let freed = join_all(plan.finalizers.iter().map(|pod| self.remove_finalizer(pod))).await;
        match failure.or(freed.into_iter().find_map(Result::err)) {
            Some(error) => Err(error),
            None => Ok(next),
        }
    }

    async fn delete(&self, job: &Job, pod: &Pod) -> Result<()> {
        let options = DeleteOptions::uid(uid(pod));
        match self.context.client.delete::<Pod>(namespace(pod), name(pod), &options).await {
            Ok(_) => {
                let message = format!("Deleted pod: {}", name(pod));
                self.context.events.event(job, EventType::Normal, "SuccessfulDelete", message);
            }
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => {
                let message = format!("Error deleting: {error}");
                self.context.events.event(job, EventType::Warning, "FailedDelete", message);
                return Err(error);
            }
        }
        self.pods.wait_until_deleted(&Key::of(pod), uid(pod)).await;
        Ok(())
    }

    async fn remove_finalizer(&self, pod: &Pod) -> Result<()> {
        let patch = json!({"metadata": {"uid": uid(pod),
            "$deleteFromPrimitiveList/finalizers": [view::FINALIZER]}});
        let client = &self.context.client;
        match client.patch::<Pod>(namespace(pod), name(pod), PatchKind::Strategic, patch).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() || error.is_conflict() || error.is_invalid() => {}
            Err(error) => return Err(error),
        }
        let id = uid(pod).to_owned();
        self.pods
            .wait_for(&Key::of(pod), |pod| pod.is_none_or(|pod| uid(pod) != id || !view::has_finalizer(pod)))
            .await;
        Ok(())
    }

    async fn free_orphan(&self, key: &Key) -> Result<Next> {
        let Some(pod) = self.pods.at(key) else { return Ok(Next::Done) };
        if !view::has_finalizer(&pod) || belongs(&pod, &self.jobs) {
            return Ok(Next::Done);
        }
        // The Job may be newer than the cache.
        if let Some(owner) = controller_of(&pod.metadata).filter(|owner| refers_to::<Job>(owner)) {
            let job = self.context.client.find::<Job>(&key.namespace, &owner.name).await?;
            if job.is_some_and(|job| uid(&*job) == owner.uid) {
                return Ok(Next::Done);
            }
        }
        self.remove_finalizer(&pod).await?;
        Ok(Next::Done)
    }
}
