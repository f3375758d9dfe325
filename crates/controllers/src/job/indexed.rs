//! Indexed Jobs: which indexes need a pod, and when an index has failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::Pod;

use super::failure_policy::{Verdict, judge};
use super::indexes::{self, Indexes};
use super::template::Slot;
use super::{backoff, view};
use crate::common::owner::uid;
use crate::common::pods;

/// Indexes without a pod at work, in order.
pub(super) fn free<'a>(
    spec: &JobSpec,
    all: &[Arc<Pod>],
    completed: &'a Indexes,
    failed: &'a Indexes,
) -> impl Iterator<Item = i32> + 'a {
    let only_failed = view::replaces_only_failed(spec);
    let busy: Indexes = all
        .iter()
        .filter(|pod| pods::is_active(pod) || (only_failed && pods::is_terminating(pod)))
        .filter_map(|pod| view::index_of(pod))
        .collect();
    (0..spec.completions.unwrap_or(0))
        .filter(move |index| !busy.contains(index) && !completed.contains(index) && !failed.contains(index))
}

/// Active pods that no index needs: without one, beyond the last, done or failed already, or second for theirs.
pub(super) fn misplaced(
    spec: &JobSpec,
    active: &[Arc<Pod>],
    completed: &Indexes,
    failed: &Indexes,
) -> Vec<Arc<Pod>> {
    let mut seen = Indexes::new();
    active
        .iter()
        .filter(|pod| {
            let needed = view::index_of(pod).is_some_and(|index| {
                index < spec.completions.unwrap_or(0)
                    && !completed.contains(&index)
                    && !failed.contains(&index)
                    && seen.insert(index)
            });
            !needed
        })
        .cloned()
        .collect()
}

/// Whether a failed pod has to stay as it is until its successor carries the number of failures on.
pub(super) fn awaits_successor(spec: &JobSpec, pod: &Pod, all: &[Arc<Pod>], failed: &Indexes) -> bool {
    if spec.backoff_limit_per_index.is_none() {
        return false;
    }
    let Some(index) = view::index_of(pod) else { return false };
    if failed.contains(&index) || index >= spec.completions.unwrap_or(0) {
        return false;
    }
    let tries = |pod: &Pod| view::failures_before(pod) + view::ignored_before(pod);
    !all.iter().any(|other| {
        uid(&**other) != uid(pod) && view::index_of(other) == Some(index) && tries(other) > tries(pod)
    })
}

/// The next pods where failures are limited per index, and when one more may be made.
pub(super) fn retries(
    spec: &JobSpec,
    all: &[Arc<Pod>],
    completed: &Indexes,
    failed: &Indexes,
    count: usize,
    now: Timestamp,
) -> (Vec<Slot>, Option<Duration>) {
    let mut last: BTreeMap<i32, &Arc<Pod>> = BTreeMap::new();
    for pod in all.iter().filter(|pod| view::is_failed(pod, spec)) {
        let Some(index) = view::index_of(pod) else { continue };
        let tries = |pod: &Pod| view::failures_before(pod) + view::ignored_before(pod);
        let newest = last.entry(index).or_insert(pod);
        if tries(pod) >= tries(newest) {
            *newest = pod;
        }
    }
    let (mut slots, mut pause) = (Vec::new(), None::<Duration>);
    for index in free(spec, all, completed, failed) {
        if slots.len() == count {
            break;
        }
        let Some(pod) = last.get(&index) else {
            slots.push(Slot { index, failures: Some((0, 0)) });
            continue;
        };
        let left = backoff::of_index(pod, now);
        if left > Duration::ZERO {
            pause = Some(pause.map_or(left, |known| known.min(left)));
            continue;
        }
        let (failures, ignored) = (view::failures_before(pod), view::ignored_before(pod));
        let failures = match judge(spec, pod) {
            Verdict::Ignore => (failures, ignored + 1),
            _ => (failures + 1, ignored),
        };
        slots.push(Slot { index, failures: Some(failures) });
    }
    (slots, pause)
}

/// The first rule of `spec.successPolicy` that is fulfilled.
pub(super) fn fulfilled_rule(spec: &JobSpec, completed: &Indexes) -> Option<usize> {
    let policy = spec.success_policy.as_ref()?;
    let completions = spec.completions.unwrap_or(0);
    policy.rules.iter().position(|rule| {
        let Some(text) = &rule.succeeded_indexes else {
            let wanted = rule.succeeded_count.unwrap_or(i32::MAX);
            return i32::try_from(completed.len()).unwrap_or(i32::MAX) >= wanted;
        };
        let listed = indexes::parse(text, completions);
        let done = listed.intersection(completed).count();
        match rule.succeeded_count {
            Some(wanted) => i32::try_from(done).unwrap_or(i32::MAX) >= wanted,
            None => done == listed.len(),
        }
    })
}
