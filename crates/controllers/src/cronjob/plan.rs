//! What a CronJob does next, out of its Jobs and the time.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::schedule::Schedule;
use crate::common::owner::{controller_reference, name, uid};

/// The annotation that tells a Job's scheduled time.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Missed times that are worth a warning.
const MISSED_MANY: usize = 100;
/// A time that a bit late is still met by the next look (upstream adds as much to each delay).
const SLACK: Duration = Duration::from_millis(100);

/// What to do.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Jobs to delete; with an event where they were active.
    pub(crate) delete: Vec<Arc<Job>>,
    /// The Job to make.
    pub(crate) create: Option<Job>,
    /// The status to write, before the Job made is in it.
    pub(crate) status: Option<CronJobStatus>,
    /// (is a warning, reason, message)
    pub(crate) events: Vec<(bool, &'static str, String)>,
    /// When to look again.
    pub(crate) after: Option<Duration>,
}

fn finished(job: &Job) -> Option<(&str, Option<Timestamp>)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    })?;
    Some((&condition.type_, condition.last_transition_time.as_ref().map(|time| time.0)))
}

/// Decides; `jobs` are those that the CronJob controls.
pub(crate) fn plan(cron: &CronJob, jobs: &[Arc<Job>], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let spec = &cron.spec;
    let mut status = cron.status.clone().unwrap_or_default();
    let mut jobs = jobs.to_vec();
    jobs.sort_by_key(|job| (job.metadata.creation_timestamp.clone(), job.metadata.name.clone()));
    note_ends(&jobs, &mut status, &mut plan);
    clean_up(spec.successful_jobs_history_limit.unwrap_or(3), "Complete", &jobs, &mut plan);
    clean_up(spec.failed_jobs_history_limit.unwrap_or(1), "Failed", &jobs, &mut plan);
    if cron.metadata.deletion_timestamp.is_none() && spec.suspend != Some(true) {
        start(cron, &jobs, &mut status, now, &mut plan);
    }
    if status.active.as_ref().is_some_and(Vec::is_empty) {
        status.active = None;
    }
    if cron.status.clone().unwrap_or_default() != status {
        plan.status = Some(status);
    }
    plan
}

/// Jobs that have ended are active no more; ones that nobody noted are.
fn note_ends(jobs: &[Arc<Job>], status: &mut CronJobStatus, plan: &mut Plan) {
    let active = status.active.get_or_insert_default();
    for job in jobs {
        let listed = active.iter().any(|known| known.uid.as_deref() == Some(uid(&**job)));
        match finished(job) {
            Some((how, at)) => {
                if listed {
                    active.retain(|known| known.uid.as_deref() != Some(uid(&**job)));
                    let message = format!("Saw completed job: {}, condition: {how}", name(&**job));
                    plan.events.push((false, "SawCompletedJob", message));
                }
                let at = at.filter(|_| how == "Complete");
                let latest = status.last_successful_time.as_ref().map(|time| time.0);
                if let Some(at) = at.filter(|at| latest.is_none_or(|latest| *at > latest)) {
                    status.last_successful_time = Some(Time(at));
                }
            }
            None if !listed => {
                let message =
                    format!("Saw a job that the controller did not create or forgot: {}", name(&**job));
                plan.events.push((true, "UnexpectedJob", message));
            }
            None => {}
        }
    }
    active.retain(|known| {
        let there = jobs.iter().any(|job| known.uid.as_deref() == Some(uid(&**job)));
        if !there {
            let message = format!("Active job went missing: {}", known.name.as_deref().unwrap_or(""));
            plan.events.push((false, "MissingJob", message));
        }
        there
    });
}

fn clean_up(limit: i32, how: &str, jobs: &[Arc<Job>], plan: &mut Plan) {
    let ended: Vec<&Arc<Job>> = jobs
        .iter()
        .filter(|job| job.metadata.deletion_timestamp.is_none())
        .filter(|job| finished(job).is_some_and(|(kind, _)| kind == how))
        .collect();
    let surplus = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    plan.delete.extend(ended.into_iter().take(surplus).cloned());
}

fn start(cron: &CronJob, jobs: &[Arc<Job>], status: &mut CronJobStatus, now: Timestamp, plan: &mut Plan) {
    let spec = &cron.spec;
    let zone = match spec.time_zone.as_deref() {
        None => TimeZone::UTC,
        Some(zone) => match TimeZone::get(zone) {
            Ok(zone) => zone,
            Err(_) => {
                let message = format!("invalid timeZone: {zone:?}: unknown time zone {zone}");
                plan.events.push((true, "UnknownTimeZone", message));
                return;
            }
        },
    };
    let schedule = match Schedule::parse(&spec.schedule) {
        Ok(schedule) => schedule,
        Err(error) => {
            let message = format!("unparseable schedule: {:?} : {error}", spec.schedule);
            plan.events.push((true, "UnparseableSchedule", message));
            return;
        }
    };
    let made = cron.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    let mut from = status.last_schedule_time.as_ref().map_or(made, |time| time.0);
    let deadline = spec.starting_deadline_seconds;
    if let Some(seconds) = deadline {
        from = from.max(now - SignedDuration::from_secs(seconds));
    }
    let (latest, missed) = latest_before(&schedule, from, now, &zone);
    if missed > MISSED_MANY {
        let message = format!(
            "too many missed start times: {missed}. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        );
        plan.events.push((true, "TooManyMissedTimes", message));
    }
    let next = schedule.next(latest.unwrap_or(now).max(if latest.is_some() { now } else { from }), &zone);
    plan.after = next.map(|next| {
        Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO).saturating_add(SLACK)
    });
    let Some(scheduled) = latest else { return };
    if let Some(seconds) = deadline
        && scheduled + SignedDuration::from_secs(seconds) < now
    {
        let message = format!(
            "Missed scheduled time to start a job: {}",
            scheduled.strftime("%a, %d %b %Y %H:%M:%S %z")
        );
        plan.events.push((true, "MissSchedule", message));
        return;
    }
    let active: Vec<&Arc<Job>> = jobs.iter().filter(|job| finished(job).is_none()).collect();
    let fresh = job_for(cron, scheduled);
    if jobs.iter().any(|job| job.metadata.name == fresh.metadata.name) {
        // Made by an earlier look whose status write was lost.
        status.last_schedule_time = Some(Time(scheduled));
        return;
    }
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !active.is_empty() => {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.events.push((false, "JobAlreadyActive", message.to_owned()));
            return;
        }
        Some("Replace") => plan.delete.extend(active.into_iter().cloned()),
        _ => {}
    }
    plan.create = Some(fresh);
}

/// The last time in `(from, now]`, and how many there were.
fn latest_before(
    schedule: &Schedule,
    from: Timestamp,
    now: Timestamp,
    zone: &TimeZone,
) -> (Option<Timestamp>, usize) {
    // Of a long gap only the end counts; the number is told as more than worth a warning.
    let (mut at, mut latest, mut count) = (from, None, 0);
    while let Some(next) = schedule.next(at, zone).filter(|next| *next <= now) {
        latest = Some(next);
        at = next;
        count += 1;
        if count > MISSED_MANY {
            let mut back = SignedDuration::from_mins(1);
            while let Some(start) = now.checked_sub(back).ok().filter(|start| *start > at) {
                if let Some(mut last) = schedule.next(start, zone).filter(|next| *next <= now) {
                    while let Some(next) = schedule.next(last, zone).filter(|next| *next <= now) {
                        last = next;
                    }
                    return (Some(last), count);
                }
                back = back.saturating_mul(2);
            }
        }
    }
    (latest, count)
}

/// The Job of a scheduled time.
fn job_for(cron: &CronJob, scheduled: Timestamp) -> Job {
    let template = cron.spec.job_template.clone();
    let given = template.metadata.unwrap_or_default();
    let zone = cron.spec.time_zone.clone();
    let shown = zone
        .and_then(|zone| TimeZone::get(&zone).ok())
        .map(|zone| scheduled.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
        .unwrap_or_else(|| scheduled.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let mut annotations = given.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.to_owned(), shown);
    Job {
        metadata: ObjectMeta {
            namespace: cron.metadata.namespace.clone(),
            name: Some(format!("{}-{}", name(cron), scheduled.as_second() / 60)),
            labels: given.labels,
            annotations: Some(annotations),
            creation_timestamp: None,
            owner_references: Some(vec![controller_reference(cron)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

/// The status once the Job is made.
pub(super) fn started(mut status: CronJobStatus, job: &Job, scheduled: Timestamp) -> CronJobStatus {
    status.last_schedule_time = Some(Time(scheduled));
    status.active.get_or_insert_default().push(ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        namespace: job.metadata.namespace.clone(),
        name: job.metadata.name.clone(),
        uid: job.metadata.uid.clone(),
        resource_version: job.metadata.resource_version.clone(),
        field_path: None,
    });
    status
}

/// The scheduled time in a Job's name.
pub(super) fn scheduled(job: &Job) -> Option<Timestamp> {
    let minutes: i64 = name(job).rsplit_once('-')?.1.parse().ok()?;
    Timestamp::from_second(minutes * 60).ok()
}
