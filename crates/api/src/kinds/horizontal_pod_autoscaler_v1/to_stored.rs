//! From `v1` to `v2`: what annotations hold becomes fields.

use serde_json::{Map, Value, json};

use super::{BEHAVIOR, CONDITIONS, CURRENT_METRICS, METRICS, metrics};
use crate::kinds::common::walk::{ensure, get, int, list, remove, set};
use crate::kinds::horizontal_pod_autoscaler::default_metrics;

/// The object in the new version.
pub fn convert(mut object: Value) -> Value {
    set(&mut object, "apiVersion", "autoscaling/v2");
    let [others, current, conditions, behavior] =
        [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR].map(|key| take_annotation(&mut object, key));
    let spec = ensure(&mut object, "spec");
    let mut wanted: Vec<Value> = elements(others.as_ref()).iter().map(metrics::spec_from_old).collect();
    if let Some(share) = remove(spec, "targetCPUUtilizationPercentage").filter(|share| !share.is_null()) {
        wanted.push(json!({"type": "Resource", "resource":
            {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": share}}}));
    }
    set(spec, "metrics", wanted);
    default_metrics(spec);
    if let Some(behavior) = behavior {
        set(spec, "behavior", behaviour(&behavior));
    }
    let share =
        get(&object, "status").and_then(|status| get(status, "currentCPUUtilizationPercentage")).cloned();
    if get(&object, "status").is_some() || current.is_some() || conditions.is_some() {
        let status = ensure(&mut object, "status");
        remove(status, "currentCPUUtilizationPercentage");
        let mut measured: Vec<Value> =
            elements(current.as_ref()).iter().map(metrics::status_from_old).collect();
        if measured.is_empty()
            && let Some(share) = share
        {
            measured.push(json!({"type": "Resource", "resource":
                {"name": "cpu", "current": {"averageUtilization": share}}}));
        }
        // The old version always says how many there are, the new one only where there are any.
        if int(status, "currentReplicas") == 0 {
            remove(status, "currentReplicas");
        }
        set(status, "currentMetrics", if measured.is_empty() { Value::Null } else { measured.into() });
        if let Some(conditions) = conditions {
            set(status, "conditions", conditions);
        }
    }
    object
}

fn elements(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Takes what an annotation holds, unless it is no JSON: then it stays as the client wrote it.
fn take_annotation(object: &mut Value, key: &str) -> Option<Value> {
    let metadata = object.get_mut("metadata")?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let value = serde_json::from_str(annotations.get(key)?.as_str()?).ok()?;
    annotations.remove(key);
    if annotations.is_empty() {
        remove(metadata, "annotations");
    }
    Some(value)
}

/// Names as Go has them become names as JSON has them.
fn behaviour(old: &Value) -> Value {
    let mut made = Map::new();
    for (from, to) in [("ScaleUp", "scaleUp"), ("ScaleDown", "scaleDown")] {
        let Some(rules) = get(old, from) else { continue };
        let mut side = Value::Object(Map::new());
        for (from, to) in [
            ("StabilizationWindowSeconds", "stabilizationWindowSeconds"),
            ("SelectPolicy", "selectPolicy"),
            ("Tolerance", "tolerance"),
        ] {
            if let Some(value) = get(rules, from) {
                set(&mut side, to, value.clone());
            }
        }
        let policies: Vec<Value> = list(rules, "Policies")
            .iter()
            .map(|policy| {
                json!({"type": policy["Type"], "value": policy["Value"], "periodSeconds": policy["PeriodSeconds"]})
            })
            .collect();
        if !policies.is_empty() {
            set(&mut side, "policies", policies);
        }
        made.insert(to.to_owned(), side);
    }
    Value::Object(made)
}
