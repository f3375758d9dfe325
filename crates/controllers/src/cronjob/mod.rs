//! CronJob: makes Jobs at scheduled times.

pub(crate) mod plan;
mod schedule;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cox_client::{DeleteOptions, EventType, Key, Next, Propagation, Queue, Reader, Result, Selector};
use k8s_openapi::api::batch::v1::{CronJob, Job};

use crate::common::context::Context;
use crate::common::owner::{is_controlled_by, name, namespace, uid};
use crate::common::trigger;

/// Keys looked at together, as upstream's `--concurrent-cron-job-syncs`.
const WORKERS: usize = 5;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let crons = context.informers.of::<CronJob>();
    let jobs = context.informers.of::<Job>();
    let queue = Queue::<Key>::new(context.env.clone(), "cronjob");
    trigger::on_itself(&crons, &queue);
    trigger::on_children(&jobs, &crons, &queue, |_: &CronJob| Selector::Nothing);
    crons.synced().await;
    jobs.synced().await;
    let shell = Arc::new(Shell { context, crons, jobs });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

struct Shell {
    context: Context,
    crons: Reader<CronJob>,
    jobs: Reader<Job>,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(cron) = self.crons.at(key) else { return Ok(Next::Done) };
        let mut jobs = self.jobs.owned_by(uid(&*cron));
        jobs.retain(|job| is_controlled_by(&job.metadata, &*cron));
        let plan = plan::plan(&cron, &jobs, self.context.env.now());
        let events = &self.context.events;
        for (warning, reason, message) in &plan.events {
            let kind = if *warning { EventType::Warning } else { EventType::Normal };
            events.event(&*cron, kind, reason, message.clone());
        }
        for job in &plan.delete {
            self.delete(&cron, job).await?;
        }
        let mut status = plan.status;
        if let Some(job) = &plan.create {
            let made = match self.context.client.create(job).await {
                Ok(made) => {
                    let message = format!("Created job {}", name(&*made));
                    events.event(&*cron, EventType::Normal, "SuccessfulCreate", message);
                    made
                }
                Err(error) if error.is_namespace_terminating() => return Ok(Next::Done),
                Err(error) if error.is_already_exists() => {
                    let there = self.context.client.get::<Job>(namespace(job), name(job)).await?;
                    if !is_controlled_by(&there.metadata, &*cron) {
                        return Err(error);
                    }
                    there
                }
                Err(error) => {
                    let message = format!("Error creating job: {error}");
                    events.event(&*cron, EventType::Warning, "FailedCreate", message);
                    return Err(error);
                }
            };
            self.jobs.wait_until_seen_object(&made).await;
            if let Some(scheduled) = plan::scheduled(&made) {
                let base = status.or_else(|| cron.status.clone()).unwrap_or_default();
                status = Some(plan::started(base, &made, scheduled));
            }
        }
        if let Some(status) = status {
            let updated = CronJob { status: Some(status), ..(*cron).clone() };
            match self.context.client.update_status(&updated).await {
                Ok(written) => self.crons.wait_until_seen_object(&written).await,
                Err(error) if error.is_not_found() => return Ok(Next::Done),
                Err(error) => return Err(error),
            }
        }
        Ok(plan.after.map_or(Next::Done, Next::After))
    }

    async fn delete(&self, cron: &CronJob, job: &Job) -> Result<()> {
        let options = DeleteOptions::uid(uid(job)).propagation(Propagation::Background);
        let events = &self.context.events;
        match self.context.client.delete::<Job>(namespace(job), name(job), &options).await {
            Ok(_) => {
                let message = format!("Deleted job {}", name(job));
                events.event(cron, EventType::Normal, "SuccessfulDelete", message);
            }
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => {
                let message = format!("Deleted job: {error}");
                events.event(cron, EventType::Warning, "FailedDelete", message);
                return Err(error);
            }
        }
        self.jobs.wait_until_deleted(&Key::of(job), uid(job)).await;
        Ok(())
    }
}
