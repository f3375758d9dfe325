//! Fields of Jobs and their pods with their defaults.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::Pod;

use crate::common::owner::annotation;
use crate::common::{conditions, pods};

pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
pub(super) const INDEX_FAILURES_IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

pub(super) fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

pub(super) fn has_finalizer(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// Complete or Failed.
pub(super) fn is_finished(job: &Job) -> bool {
    ["Complete", "Failed"].into_iter().any(|kind| has_condition(job, kind))
}

pub(super) fn has_condition(job: &Job, kind: &str) -> bool {
    let status = job.status.as_ref();
    status
        .and_then(|status| conditions::find(&status.conditions, kind))
        .is_some_and(|condition| condition.status == "True")
}

/// Whether only ended pods are replaced (`podReplacementPolicy: Failed`), not ones that are being deleted.
pub(super) fn replaces_only_failed(spec: &JobSpec) -> bool {
    spec.pod_failure_policy.is_some() || spec.pod_replacement_policy.as_deref() == Some("Failed")
}

/// Whether a pod counts as failed: ended so, or (where such pods are replaced at once) being deleted.
pub(super) fn is_failed(pod: &Pod, spec: &JobSpec) -> bool {
    match pods::phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        _ => pods::is_deleted(pod) && !replaces_only_failed(spec),
    }
}

/// The completion index of a pod.
pub(super) fn index_of(pod: &Pod) -> Option<i32> {
    annotation(&pod.metadata, INDEX)?.parse().ok().filter(|index| *index >= 0)
}

/// How often the pod's index had failed before this pod.
pub(super) fn failures_before(pod: &Pod) -> i32 {
    annotation(&pod.metadata, INDEX_FAILURES).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// How often such a failure was ignored.
pub(super) fn ignored_before(pod: &Pod) -> i32 {
    annotation(&pod.metadata, INDEX_FAILURES_IGNORED).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// When a pod ended: its last container's end, else the last transition told, else its deletion.
pub(super) fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let last = containers
        .filter_map(|container| container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref())
        .map(|time| time.0)
        .max();
    let ready = || pods::condition(pod, "Ready")?.last_transition_time.as_ref().map(|time| time.0);
    let deleted = || pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let made = || pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    last.or_else(ready).or_else(deleted).or_else(made)
}
