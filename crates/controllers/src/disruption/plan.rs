//! How many pods of a budget may be disrupted now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::common::intstr::scaled;
use crate::common::owner::name;
use crate::common::pods;

/// How long an eviction that was allowed counts although its pod is still there unmarked (upstream's
/// `DeletionTimeout`).
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);

/// The status as it should be, and when to look again by the clock; no status where it is right already.
/// `scale` is how many pods the matching pods' controllers want, or why that can't be told.
pub(crate) fn plan(
    budget: &PodDisruptionBudget,
    matching: &[Arc<Pod>],
    scale: Result<i32, String>,
    now: Timestamp,
) -> (Option<PodDisruptionBudgetStatus>, Option<Duration>) {
    let Some(spec) = &budget.spec else { return (None, None) };
    let count = i32::try_from(matching.len()).unwrap_or(i32::MAX);
    let before = budget.status.clone().unwrap_or_default();
    let (expected, desired) = match (&spec.min_available, &spec.max_unavailable) {
        (_, Some(unavailable)) => match scale {
            Ok(scale) => (scale, (scale - scaled(unavailable, scale, true)).max(0)),
            Err(why) => return (failed(budget, why, now), None),
        },
        (Some(IntOrString::Int(least)), None) => (count, *least),
        (Some(percentage), None) => match scale {
            Ok(scale) => (scale, scaled(percentage, scale, true)),
            Err(why) => return (failed(budget, why, now), None),
        },
        (None, None) => (count, 1),
    };
    let (disrupted, again) = still_disrupted(&before, matching, now);
    let healthy = matching
        .iter()
        .filter(|pod| !pods::is_deleted(pod) && !disrupted.contains_key(name(&***pod)) && pods::is_ready(pod))
        .count();
    let healthy = i32::try_from(healthy).unwrap_or(i32::MAX);
    let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
    let mut status = PodDisruptionBudgetStatus {
        current_healthy: Some(healthy),
        desired_healthy: Some(desired),
        expected_pods: Some(expected),
        disruptions_allowed: Some(allowed),
        disrupted_pods: (!disrupted.is_empty()).then_some(disrupted),
        observed_generation: budget.metadata.generation,
        conditions: before.conditions.clone(),
    };
    let (truth, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    tell(budget, &mut status, truth, reason, "", now);
    ((budget.status.as_ref() != Some(&status)).then_some(status), again)
}

/// Evictions that were allowed and haven't shown yet.
fn still_disrupted(
    status: &PodDisruptionBudgetStatus,
    matching: &[Arc<Pod>],
    now: Timestamp,
) -> (BTreeMap<String, Time>, Option<Duration>) {
    let mut kept = BTreeMap::new();
    let mut again: Option<Duration> = None;
    for pod in matching.iter().filter(|pod| !pods::is_deleted(pod)) {
        let Some(at) = status.disrupted_pods.as_ref().and_then(|pods| pods.get(name(&**pod))) else {
            continue;
        };
        let due = at.0 + DELETION_TIMEOUT;
        if due <= now {
            continue;
        }
        let left = Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO);
        again = Some(again.map_or(left, |known| known.min(left)));
        kept.insert(name(&**pod).to_owned(), at.clone());
    }
    (kept, again)
}

/// Nothing may be disrupted while nobody knows how many pods there should be.
fn failed(budget: &PodDisruptionBudget, why: String, now: Timestamp) -> Option<PodDisruptionBudgetStatus> {
    let mut status = budget.status.clone().unwrap_or_default();
    status.disruptions_allowed = Some(0);
    status.observed_generation = budget.metadata.generation;
    for number in [&mut status.current_healthy, &mut status.desired_healthy, &mut status.expected_pods] {
        number.get_or_insert(0);
    }
    tell(budget, &mut status, "False", "SyncFailed", &why, now);
    (budget.status.as_ref() != Some(&status)).then_some(status)
}

fn tell(
    budget: &PodDisruptionBudget,
    status: &mut PodDisruptionBudgetStatus,
    truth: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    const KIND: &str = "DisruptionAllowed";
    let conditions = status.conditions.get_or_insert_default();
    let known = conditions.iter().find(|condition| condition.type_ == KIND);
    let since = known
        .filter(|condition| condition.status == truth)
        .map_or(Time(now), |condition| condition.last_transition_time.clone());
    conditions.retain(|condition| condition.type_ != KIND);
    conditions.push(Condition {
        type_: KIND.to_owned(),
        status: truth.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: budget.metadata.generation,
        last_transition_time: since,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{at, object, pod};
    use serde_json::{Value, json};

    fn allowed(
        spec: Value,
        ready: usize,
        unready: usize,
        scale: Result<i32, String>,
    ) -> (i32, i32, i32, i32) {
        let budget: PodDisruptionBudget = object(json!({"metadata": {"name": "b"}, "spec": spec}));
        let mut pods: Vec<Arc<Pod>> = (0..ready)
            .map(|n| Arc::new(pod(&format!("r{n}")).running("n").ready_at(at(0)).build()))
            .collect();
        pods.extend((0..unready).map(|n| Arc::new(pod(&format!("u{n}")).running("n").build())));
        let status = plan(&budget, &pods, scale, at(0)).0.unwrap();
        let number = |number: Option<i32>| number.unwrap();
        (
            number(status.expected_pods),
            number(status.desired_healthy),
            number(status.current_healthy),
            number(status.disruptions_allowed),
        )
    }

    #[test]
    fn budgets() {
        let none = || Err("not asked for".to_owned());
        assert_eq!(allowed(json!({"minAvailable": 2}), 3, 0, none()), (3, 2, 3, 1));
        assert_eq!(allowed(json!({"minAvailable": 2}), 1, 2, none()), (3, 2, 1, 0));
        assert_eq!(allowed(json!({"minAvailable": "50%"}), 3, 0, Ok(5)), (5, 3, 3, 0));
        assert_eq!(allowed(json!({"maxUnavailable": 1}), 5, 0, Ok(5)), (5, 4, 5, 1));
        assert_eq!(allowed(json!({"maxUnavailable": "30%"}), 10, 0, Ok(10)), (10, 7, 10, 3));
        assert_eq!(allowed(json!({"maxUnavailable": 1}), 5, 0, none()).3, 0);
    }

    #[test]
    fn allowed_evictions_count_until_they_show_or_time_out() {
        let budget: PodDisruptionBudget =
            object(json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1},
            "status": {"disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2,
                "disruptedPods": {"r0": "2026-01-01T00:00:00Z"}}}));
        let pods: Vec<Arc<Pod>> =
            (0..2).map(|n| Arc::new(pod(&format!("r{n}")).running("n").ready_at(at(0)).build())).collect();
        let (status, again) = plan(&budget, &pods, Err(String::new()), at(60));
        assert_eq!(status.unwrap().disruptions_allowed, Some(0));
        assert_eq!(again, Some(Duration::from_secs(60)));
        let (status, again) = plan(&budget, &pods, Err(String::new()), at(121));
        let status = status.unwrap();
        assert_eq!((status.disruptions_allowed, status.disrupted_pods, again), (Some(1), None, None));
    }
}
