//! What a new pod may not bring with it, and what it gets.

use serde_json::{Value, json};

use super::{apparmor, qos, spec_defaults};
use crate::kinds::common::walk::{ensure, get, get_mut, list, list_mut, map, map_of, set};

/// The first status of a pod, the label keys that become selectors, and what old annotations mean.
pub fn prepare(pod: &mut Value, now: &str) {
    spec_defaults::drop_disabled(ensure(pod, "spec"), None);
    spec_defaults::account_alias(ensure(pod, "spec"));
    apparmor::annotations_to_fields(pod);
    merge_label_keys(pod);
    let spec = &pod["spec"];
    let mut status = json!({"phase": "Pending", "qosClass": qos::class(spec)});
    if !list(spec, "schedulingGates").is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "lastProbeTime": null, "lastTransitionTime": now,
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    set(pod, "status", status);
}

/// `matchLabelKeys` and `mismatchLabelKeys` become expressions of the selector beside them, with the pod's own
/// values. KEP-3633, KEP-3243.
fn merge_label_keys(pod: &mut Value) {
    if !uses_label_keys(&pod["spec"]) {
        return;
    }
    let labels = map(&pod["metadata"], "labels").clone();
    let value = |key: &str| labels.get(key).and_then(Value::as_str);
    let spec = ensure(pod, "spec");
    for constraint in list_mut(spec, "topologySpreadConstraints") {
        merge(constraint, "matchLabelKeys", "In", &value);
    }
    let Some(affinity) = get_mut(spec, "affinity") else { return };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(side) = get_mut(affinity, kind) else { continue };
        for term in list_mut(side, "requiredDuringSchedulingIgnoredDuringExecution") {
            merge(term, "matchLabelKeys", "In", &value);
            merge(term, "mismatchLabelKeys", "NotIn", &value);
        }
        for weighted in list_mut(side, "preferredDuringSchedulingIgnoredDuringExecution") {
            let Some(term) = get_mut(weighted, "podAffinityTerm") else { continue };
            merge(term, "matchLabelKeys", "In", &value);
            merge(term, "mismatchLabelKeys", "NotIn", &value);
        }
    }
}

fn uses_label_keys(spec: &Value) -> bool {
    get(spec, "affinity").is_some()
        || list(spec, "topologySpreadConstraints").iter().any(|each| !list(each, "matchLabelKeys").is_empty())
}

fn merge<'a>(term: &mut Value, keys: &str, operator: &str, value: &impl Fn(&str) -> Option<&'a str>) {
    if get(term, "labelSelector").is_none() {
        return;
    }
    let added: Vec<Value> = list(term, keys)
        .iter()
        .filter_map(Value::as_str)
        .filter_map(|key| Some(json!({"key": key, "operator": operator, "values": [value(key)?]})))
        .collect();
    if added.is_empty() {
        return;
    }
    let selector = map_of(ensure(term, "labelSelector"));
    match selector.entry("matchExpressions").or_insert_with(|| json!([])) {
        Value::Array(list) => list.extend(added),
        other => *other = Value::Array(added),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_pod_is_pending() {
        let mut pod = json!({"spec": {"containers": [{"name": "c"}]}, "status": {"phase": "Running"}});
        prepare(&mut pod, "now");
        assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
        pod["spec"]["schedulingGates"] = json!([{"name": "g"}]);
        prepare(&mut pod, "now");
        assert_eq!(pod["status"]["conditions"][0]["reason"], "SchedulingGated");
        assert_eq!(pod["status"]["conditions"][0]["lastTransitionTime"], "now");
    }

    #[test]
    fn label_keys_become_expressions() {
        let mut pod = json!({"metadata": {"labels": {"h": "1"}}, "spec": {
            "topologySpreadConstraints": [{"labelSelector": {}, "matchLabelKeys": ["h", "none"]}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                [{"labelSelector": {"matchLabels": {"a": "b"}}, "mismatchLabelKeys": ["h"]},
                 {"matchLabelKeys": ["h"]}]}}}});
        prepare(&mut pod, "now");
        let spec = &pod["spec"];
        assert_eq!(
            spec["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"],
            json!([{"key": "h", "operator": "In", "values": ["1"]}])
        );
        let terms = &spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(
            terms[0]["labelSelector"]["matchExpressions"],
            json!([{"key": "h", "operator": "NotIn", "values": ["1"]}])
        );
        assert!(terms[1].get("labelSelector").is_none());
    }
}
