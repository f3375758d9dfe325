//! What a Job does next, out of its pods and the time.
//!
//! Each ended pod is counted once: its uid goes into `status.uncountedTerminatedPods`, then its finalizer goes,
//! then the uid becomes a count. A crash between two steps repeats none of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cox_client::Next;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::failure_policy::{Verdict, judge};
use super::indexes::{self, Indexes};
use super::template::Slot;
use super::{backoff, indexed, view};
use crate::common::owner::uid;
use crate::common::{conditions, pods, rank};

/// Pods made or deleted in one go (upstream's `MaxPodCreateDeletePerSync`), and uids in the status at a time.
const PODS_AT_ONCE: usize = 500;

/// What to do now.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Pods to make, for an index where the Job has such.
    pub(super) create: Vec<Option<Slot>>,
    /// Pods to delete.
    pub(super) delete: Vec<Arc<Pod>>,
    /// The status to write, before finalizers go.
    pub(super) status: Option<JobStatus>,
    /// Pods to take the finalizer from.
    pub(super) finalizers: Vec<Arc<Pod>>,
    /// (is a warning, reason, message)
    pub(super) events: Vec<(bool, &'static str, String)>,
    /// When to look again by the clock.
    pub(super) after: Option<Duration>,
}

impl Plan {
    pub(super) fn next(&self) -> Next {
        self.after.map_or(Next::Done, Next::After)
    }

    fn look_after(&mut self, delay: Duration) {
        self.after = Some(self.after.map_or(delay, |known| known.min(delay)));
    }
}

/// How a Job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    success: bool,
    reason: &'static str,
    message: String,
}

impl End {
    fn failure(reason: &'static str, message: impl Into<String>) -> End {
        End { success: false, reason, message: message.into() }
    }
}

/// Decides; `all` are the pods that the Job controls.
pub(crate) fn plan(job: &Job, all: &[Arc<Pod>], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = &job.spec else { return plan };
    if view::is_finished(job) {
        // Counted before it ended; pods that came late lose their finalizer so that they can go.
        plan.finalizers = all.iter().filter(|pod| view::has_finalizer(pod)).cloned().collect();
        return plan;
    }
    let before = job.status.clone().unwrap_or_default();
    let mut status = before.clone();
    let suspended = spec.suspend == Some(true);
    if status.start_time.is_none() && !suspended {
        status.start_time = Some(Time(now));
    }
    count_what_lost_its_finalizer(&mut status, all);
    let mut tracked = Tracked::of(spec, &status, all);
    let active: Vec<Arc<Pod>> = all.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
    let mut active_left = active.len();
    let end = told_end(job, &before).or_else(|| find_end(spec, &status, &tracked, all, now));

    if let Some(end) = &end {
        plan.delete = active.iter().take(PODS_AT_ONCE).cloned().collect();
        active_left -= plan.delete.len();
        tell_end(&mut status, end, now);
    } else if job.metadata.deletion_timestamp.is_none() {
        if suspended {
            plan.delete = active.iter().take(PODS_AT_ONCE).cloned().collect();
            active_left -= plan.delete.len();
        } else {
            size(job, spec, &tracked, all, &active, now, &mut plan);
            active_left = active_left + plan.create.len() - plan.delete.len();
        }
        tell_suspension(spec, &mut status, now, &mut plan);
    }
    if let (Some(deadline), Some(start)) = (spec.active_deadline_seconds, &status.start_time)
        && end.is_none()
        && !suspended
    {
        let due = start.0 + SignedDuration::from_secs(deadline);
        plan.look_after(Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO));
    }

    book(job, spec, &mut status, &mut tracked, all, end.is_some(), &mut plan);
    let living: Vec<&Arc<Pod>> = active
        .iter()
        .filter(|pod| !plan.delete.iter().any(|doomed| uid(&**doomed) == uid(&***pod)))
        .collect();
    let terminating = all.iter().filter(|pod| pods::is_terminating(pod)).count() + plan.delete.len();
    status.active = count(active_left);
    status.ready = Some(i32::try_from(living.iter().filter(|pod| pods::is_ready(pod)).count()).unwrap_or(0));
    status.terminating = Some(i32::try_from(terminating).unwrap_or(0));
    let booked = status.uncounted_terminated_pods.as_ref().is_none_or(|uncounted| {
        uncounted.failed.as_ref().is_none_or(Vec::is_empty)
            && uncounted.succeeded.as_ref().is_none_or(Vec::is_empty)
    }) && plan.finalizers.is_empty();
    if let Some(end) = end
        && booked
        && active_left == 0
        && terminating == 0
        && status == (JobStatus { conditions: status.conditions.clone(), ..before.clone() })
    {
        finish(&mut status, &end, now, &mut plan);
    }
    if job.status.as_ref() != Some(&status) {
        plan.status = Some(status);
    }
    plan
}

/// What is known of the pods' results: counted, being counted, and still to be counted.
struct Tracked {
    succeeded: i32,
    failed: i32,
    completed: Indexes,
    failed_indexes: Indexes,
    fail_job: Option<String>,
}

impl Tracked {
    fn of(spec: &JobSpec, status: &JobStatus, all: &[Arc<Pod>]) -> Tracked {
        let completions = spec.completions.unwrap_or(i32::MAX);
        let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let (listed_ok, listed_failed) =
            (uncounted.succeeded.unwrap_or_default(), uncounted.failed.unwrap_or_default());
        let mut tracked = Tracked {
            succeeded: status.succeeded.unwrap_or(0) + length(&listed_ok),
            failed: status.failed.unwrap_or(0) + length(&listed_failed),
            completed: indexes::parse(status.completed_indexes.as_deref().unwrap_or(""), completions),
            failed_indexes: indexes::parse(status.failed_indexes.as_deref().unwrap_or(""), completions),
            fail_job: None,
        };
        for pod in all.iter().filter(|pod| view::has_finalizer(pod)) {
            if pods::phase(pod) == "Succeeded" {
                if view::is_indexed(spec) {
                    tracked.completed.extend(view::index_of(pod).filter(|index| *index < completions));
                } else if !listed_ok.iter().any(|known| known == uid(&**pod)) {
                    tracked.succeeded += 1;
                }
            } else if view::is_failed(pod, spec) {
                let verdict = judge(spec, pod);
                if let Verdict::FailJob(message) = &verdict {
                    tracked.fail_job.get_or_insert_with(|| message.clone());
                }
                if verdict != Verdict::Ignore && !listed_failed.iter().any(|known| known == uid(&**pod)) {
                    tracked.failed += 1;
                }
                if let Some(limit) = spec.backoff_limit_per_index {
                    let lost = verdict == Verdict::FailIndex
                        || (verdict != Verdict::Ignore && view::failures_before(pod) >= limit);
                    if lost {
                        tracked.failed_indexes.extend(view::index_of(pod));
                    }
                }
            }
        }
        if view::is_indexed(spec) {
            tracked.succeeded = i32::try_from(tracked.completed.len()).unwrap_or(i32::MAX);
            let completed = &tracked.completed;
            tracked.failed_indexes.retain(|index| !completed.contains(index));
        }
        tracked
    }
}

/// Uids whose pods have no finalizer any more (or are gone) become counts.
fn count_what_lost_its_finalizer(status: &mut JobStatus, all: &[Arc<Pod>]) {
    let Some(uncounted) = &mut status.uncounted_terminated_pods else { return };
    let held: BTreeSet<&str> =
        all.iter().filter(|pod| view::has_finalizer(pod)).map(|pod| uid(&**pod)).collect();
    let count = |list: &mut Option<Vec<String>>, number: &mut Option<i32>| {
        let before = list.as_ref().map_or(0, Vec::len);
        if let Some(list) = list {
            list.retain(|uid| held.contains(uid.as_str()));
        }
        let gone = before - list.as_ref().map_or(0, Vec::len);
        if gone > 0 {
            *number = Some(number.unwrap_or(0) + i32::try_from(gone).unwrap_or(i32::MAX));
        }
        if list.as_ref().is_some_and(Vec::is_empty) {
            *list = None;
        }
    };
    count(&mut uncounted.succeeded, &mut status.succeeded);
    count(&mut uncounted.failed, &mut status.failed);
}

/// Puts results into the status and chooses the pods that lose their finalizer after that is written.
fn book(
    job: &Job,
    spec: &JobSpec,
    status: &mut JobStatus,
    tracked: &mut Tracked,
    all: &[Arc<Pod>],
    ends: bool,
    plan: &mut Plan,
) {
    let gone = job.metadata.deletion_timestamp.is_some();
    let mut uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
    for pod in all.iter().filter(|pod| view::has_finalizer(pod)) {
        let succeeded = uncounted.succeeded.get_or_insert_default();
        let failed = uncounted.failed.get_or_insert_default();
        let room = succeeded.len() + failed.len() < PODS_AT_ONCE;
        let id = uid(&**pod).to_owned();
        let is_success = pods::phase(pod) == "Succeeded";
        let is_failure = view::is_failed(pod, spec);
        if is_success && !view::is_indexed(spec) && !succeeded.contains(&id) {
            if !room {
                continue;
            }
            succeeded.push(id);
        } else if is_failure && !failed.contains(&id) {
            // With limits per index, the failure's number lives in the failed pod until its successor has it.
            if !ends && !gone && indexed::awaits_successor(spec, pod, all, &tracked.failed_indexes) {
                continue;
            }
            if judge(spec, pod) != Verdict::Ignore {
                if !room {
                    continue;
                }
                failed.push(id);
            }
        }
        let ended = is_success || is_failure;
        let doomed = plan.delete.iter().any(|doomed| uid(&**doomed) == uid(&**pod));
        if ended || ((ends || gone) && pods::is_deleted(pod) && !doomed && pods::is_terminal(pod)) {
            plan.finalizers.push(pod.clone());
        }
    }
    if view::is_indexed(spec) {
        status.succeeded = count(tracked.completed.len());
        status.completed_indexes = Some(indexes::text(&tracked.completed)).filter(|text| !text.is_empty());
        if spec.backoff_limit_per_index.is_some() {
            status.failed_indexes = Some(indexes::text(&tracked.failed_indexes));
        }
    }
    let clean = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
    uncounted.succeeded = clean(uncounted.succeeded);
    uncounted.failed = clean(uncounted.failed);
    status.uncounted_terminated_pods = Some(uncounted);
}

/// The end that the status tells already.
fn told_end(job: &Job, status: &JobStatus) -> Option<End> {
    for (kind, success) in [("FailureTarget", false), ("SuccessCriteriaMet", true)] {
        if view::has_condition(job, kind) {
            let condition = conditions::find(&status.conditions, kind)?;
            let reason = REASONS.iter().copied().find(|reason| condition.reason.as_deref() == Some(*reason));
            let message = condition.message.clone().unwrap_or_default();
            return Some(End { success, reason: reason.unwrap_or(""), message });
        }
    }
    None
}

const REASONS: &[&str] = &[
    "PodFailurePolicy",
    "DeadlineExceeded",
    "BackoffLimitExceeded",
    "MaxFailedIndexesExceeded",
    "FailedIndexes",
    "SuccessPolicy",
    "CompletionsReached",
];

fn find_end(
    spec: &JobSpec,
    status: &JobStatus,
    tracked: &Tracked,
    all: &[Arc<Pod>],
    now: Timestamp,
) -> Option<End> {
    let suspended = spec.suspend == Some(true);
    if let Some(message) = &tracked.fail_job {
        return Some(End::failure("PodFailurePolicy", message.clone()));
    }
    if let (Some(deadline), Some(start), false) =
        (spec.active_deadline_seconds, &status.start_time, suspended)
        && start.0 + SignedDuration::from_secs(deadline) <= now
    {
        return Some(End::failure("DeadlineExceeded", "Job was active longer than specified deadline"));
    }
    let limit = spec.backoff_limit.unwrap_or(6);
    let restarts = restarts_on_failure(spec, all);
    if tracked.failed > limit || restarts.is_some_and(|restarts| restarts > 0 && restarts >= limit.max(1)) {
        return Some(End::failure("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
    }
    let failed_indexes = i32::try_from(tracked.failed_indexes.len()).unwrap_or(i32::MAX);
    if spec.max_failed_indexes.is_some_and(|limit| failed_indexes > limit) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(End::failure("MaxFailedIndexesExceeded", message));
    }
    if let Some(rule) = indexed::fulfilled_rule(spec, &tracked.completed) {
        let message = format!("Matched rules at index {rule}");
        return Some(End { success: true, reason: "SuccessPolicy", message });
    }
    let active = all.iter().filter(|pod| pods::is_active(pod)).count();
    let complete = match spec.completions {
        // A work queue: one success means that the others end by themselves.
        None => tracked.succeeded > 0 && active == 0,
        Some(completions) => tracked.succeeded >= completions,
    };
    if complete {
        let message = "Reached expected number of succeeded pods".to_owned();
        return Some(End { success: true, reason: "CompletionsReached", message });
    }
    if let Some(completions) = spec.completions
        && failed_indexes > 0
        && tracked.succeeded + failed_indexes >= completions
    {
        return Some(End::failure("FailedIndexes", "Job has failed indexes"));
    }
    None
}

/// Restarts of containers that the kubelet restarts in place.
fn restarts_on_failure(spec: &JobSpec, all: &[Arc<Pod>]) -> Option<i32> {
    let policy = spec.template.spec.as_ref()?.restart_policy.as_deref()?;
    (policy == "OnFailure").then(|| {
        all.iter()
            .filter(|pod| matches!(pods::phase(pod), "Running" | "Pending"))
            .filter_map(|pod| pod.status.as_ref())
            .flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses))
            .flatten()
            .map(|container| container.restart_count)
            .sum()
    })
}

fn tell_end(status: &mut JobStatus, end: &End, now: Timestamp) {
    let kind = if end.success { "SuccessCriteriaMet" } else { "FailureTarget" };
    put(status, kind, "True", end.reason, &end.message, now);
}

fn finish(status: &mut JobStatus, end: &End, now: Timestamp, plan: &mut Plan) {
    if end.success {
        put(status, "Complete", "True", end.reason, &end.message, now);
        status.completion_time = Some(Time(now));
        plan.events.push((false, "Completed", "Job completed".into()));
    } else {
        put(status, "Failed", "True", end.reason, &end.message, now);
        plan.events.push((true, end.reason, end.message.clone()));
    }
}

fn tell_suspension(spec: &JobSpec, status: &mut JobStatus, now: Timestamp, plan: &mut Plan) {
    let current = conditions::find(&status.conditions, "Suspended").map(|c| c.status.clone());
    match (spec.suspend == Some(true), current.as_deref()) {
        (true, Some("True")) | (false, None | Some("False")) => {}
        (true, _) => {
            put(status, "Suspended", "True", "JobSuspended", "Job suspended", now);
            plan.events.push((false, "Suspended", "Job suspended".into()));
        }
        (false, Some(_)) => {
            put(status, "Suspended", "False", "JobResumed", "Job resumed", now);
            status.start_time = Some(Time(now));
            plan.events.push((false, "Resumed", "Job resumed".into()));
        }
    }
}

fn put(status: &mut JobStatus, kind: &str, truth: &str, reason: &str, message: &str, now: Timestamp) {
    let condition = JobCondition {
        type_: kind.into(),
        status: truth.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    };
    conditions::set(&mut status.conditions, condition);
}

/// Makes or deletes pods until as many are active as there should be.
fn size(
    job: &Job,
    spec: &JobSpec,
    tracked: &Tracked,
    all: &[Arc<Pod>],
    active: &[Arc<Pod>],
    now: Timestamp,
    plan: &mut Plan,
) {
    let parallelism = usize::try_from(spec.parallelism.unwrap_or(1)).unwrap_or(0);
    let wanted = match spec.completions {
        None if tracked.succeeded > 0 => active.len().min(parallelism),
        None => parallelism,
        Some(completions) => {
            let failed = i32::try_from(tracked.failed_indexes.len()).unwrap_or(0);
            let left = (completions - tracked.succeeded - failed).max(0);
            parallelism.min(usize::try_from(left).unwrap_or(0))
        }
    };
    let doomed = if view::is_indexed(spec) {
        indexed::misplaced(spec, active, &tracked.completed, &tracked.failed_indexes)
    } else {
        Vec::new()
    };
    let surplus = (active.len() - doomed.len()).saturating_sub(wanted);
    plan.delete = doomed;
    if surplus > 0 {
        let held: Vec<Arc<Pod>> = active
            .iter()
            .filter(|pod| !plan.delete.iter().any(|doomed| uid(&**doomed) == uid(&***pod)))
            .cloned()
            .collect();
        plan.delete.extend(rank::for_deletion(&held, &held, now).into_iter().take(surplus));
    }
    plan.delete.truncate(PODS_AT_ONCE);
    if !plan.delete.is_empty() {
        return;
    }
    let terminating = if view::replaces_only_failed(spec) {
        all.iter().filter(|pod| pods::is_terminating(pod)).count()
    } else {
        0
    };
    let missing = wanted.saturating_sub(active.len() + terminating).min(PODS_AT_ONCE);
    if missing == 0 {
        return;
    }
    if spec.backoff_limit_per_index.is_some() {
        let (slots, pause) =
            indexed::retries(spec, all, &tracked.completed, &tracked.failed_indexes, missing, now);
        plan.create = slots.into_iter().map(Some).collect();
        if let Some(pause) = pause {
            plan.look_after(pause);
        }
        return;
    }
    let pause = backoff::of_job(spec, all, now);
    if pause > Duration::ZERO {
        plan.look_after(pause);
        return;
    }
    plan.create = if view::is_indexed(spec) {
        let free = indexed::free(spec, all, &tracked.completed, &tracked.failed_indexes);
        free.take(missing).map(|index| Some(Slot { index, failures: None })).collect()
    } else {
        vec![None; missing]
    };
    debug_assert!(job.spec.is_some());
}

fn count(number: usize) -> Option<i32> {
    (number > 0).then(|| i32::try_from(number).unwrap_or(i32::MAX))
}

fn length(list: &[String]) -> i32 {
    i32::try_from(list.len()).unwrap_or(i32::MAX)
}
