//! Finished Jobs go after `spec.ttlSecondsAfterFinished`.

use std::sync::Arc;
use std::time::Duration;

use cox_client::{DeleteOptions, Key, Next, Propagation, Queue, Reader, Result};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;

use crate::common::context::Context;
use crate::common::owner::uid;
use crate::common::trigger;

const WORKERS: usize = 5;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let jobs = context.informers.of::<Job>();
    let queue = Queue::<Key>::new(context.env.clone(), "ttl-after-finished");
    trigger::on_itself(&jobs, &queue);
    jobs.synced().await;
    let shell = Arc::new(Shell { context, jobs });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

/// When a Job is to go; none where it isn't.
fn due(job: &Job) -> Option<Timestamp> {
    if job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let seconds = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let finished = conditions.iter().find(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    })?;
    Some(finished.last_transition_time.as_ref()?.0 + SignedDuration::from_secs(i64::from(seconds)))
}

struct Shell {
    context: Context,
    jobs: Reader<Job>,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(due) = self.jobs.at(key).as_deref().and_then(due) else { return Ok(Next::Done) };
        let left = due.duration_since(self.context.env.now());
        if left > SignedDuration::ZERO {
            return Ok(Next::After(Duration::try_from(left).unwrap_or(Duration::ZERO)));
        }
        // The time to live may have been raised since the cache saw the Job: ask before deleting.
        let client = &self.context.client;
        let Some(job) = client.find::<Job>(&key.namespace, &key.name).await? else { return Ok(Next::Done) };
        if self::due(&job).is_none_or(|due| due > self.context.env.now()) {
            return Ok(Next::Done);
        }
        let options = DeleteOptions {
            resource_version: job.metadata.resource_version.clone(),
            ..DeleteOptions::uid(uid(&*job)).propagation(Propagation::Foreground)
        };
        match client.delete::<Job>(&key.namespace, &key.name, &options).await {
            Ok(_) => Ok(Next::Done),
            Err(error) if error.is_not_found() => Ok(Next::Done),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::common::testing::{object, pass, world};
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn finished_jobs_go_in_time() {
        let (api, context) = world();
        let job = |name: &str, finished: bool| -> Job {
            let status = if finished {
                json!({"conditions": [{"type": "Complete", "status": "True",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
            } else {
                json!({})
            };
            object(json!({"metadata": {"namespace": "ns", "name": name},
                "spec": {"ttlSecondsAfterFinished": 30, "template": {}}, "status": status}))
        };
        api.put(&job("done", true));
        api.put(&job("busy", false));
        context.env.spawn(run(context.clone()));
        pass(&context, 28).await;
        assert_eq!(api.all::<Job>().len(), 2);
        pass(&context, 4).await;
        assert!(api.one::<Job>("ns", "done").unwrap().metadata.deletion_timestamp.is_some());
        assert!(api.one::<Job>("ns", "busy").unwrap().metadata.deletion_timestamp.is_none());
    }
}
