//! When a pod has to leave its node because of the node's NoExecute taints. Pure.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions>

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};

/// What becomes of a pod.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stays.
    Stays,
    /// It leaves now.
    Leaves,
    /// It leaves after this time.
    LeavesAfter(Duration),
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    if (!effect.is_empty() && effect != taint.effect) || (!key.is_empty() && key != taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" => true,
        "Equal" | "" => {
            toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
        }
        _ => false,
    }
}

/// Decides for one pod of a node.
pub(crate) fn plan(pod: &Pod, node: &Node, now: Timestamp) -> Verdict {
    let taints: Vec<&Taint> = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten())
        .filter(|taint| taint.effect == "NoExecute")
        .collect();
    if taints.is_empty() || pod.metadata.deletion_timestamp.is_some() {
        return Verdict::Stays;
    }
    let tolerations: Vec<&Toleration> =
        pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten()).collect();
    let mut leaves_at: Option<Timestamp> = None;
    for taint in taints {
        let matching: Vec<_> = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
        if matching.is_empty() {
            return Verdict::Leaves;
        }
        // Of several tolerations the shortest counts.
        if let Some(seconds) = matching.iter().filter_map(|toleration| toleration.toleration_seconds).min() {
            let since = taint.time_added.as_ref().map_or(now, |time| time.0);
            let at = since + Duration::from_secs(seconds.max(0).unsigned_abs());
            leaves_at = Some(leaves_at.map_or(at, |known| known.min(at)));
        }
    }
    match leaves_at {
        None => Verdict::Stays,
        Some(at) if at <= now => Verdict::Leaves,
        Some(at) => Verdict::LeavesAfter(Duration::from_millis(
            (at.as_millisecond() - now.as_millisecond()).unsigned_abs(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{at, object, pod};
    use serde_json::json;

    #[test]
    fn tolerations_decide_how_long_a_pod_stays() {
        let node: Node = object(json!({"spec": {"taints": [
            {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:10Z"}]}}));
        let with = |tolerations: serde_json::Value| {
            let tolerations = serde_json::from_value(tolerations).unwrap();
            pod("p")
                .running("n")
                .with(|pod| pod.spec.as_mut().unwrap().tolerations = Some(tolerations))
                .build()
        };
        let for_seconds = |seconds: i64| json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": seconds}]);
        for (tolerations, expected) in [
            (json!([]), Verdict::Leaves),
            (json!([{"operator": "Exists"}]), Verdict::Stays),
            (for_seconds(5), Verdict::LeavesAfter(Duration::from_secs(3))),
            (for_seconds(1), Verdict::Leaves),
        ] {
            assert_eq!(plan(&with(tolerations.clone()), &node, at(12)), expected, "{tolerations}");
        }
        assert_eq!(plan(&with(json!([])), &Node::default(), at(12)), Verdict::Stays);
    }
}
