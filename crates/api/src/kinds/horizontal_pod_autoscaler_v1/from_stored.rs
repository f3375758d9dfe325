//! From `v2` to `v1`: what has no field goes to annotations.

use serde_json::{Map, Value, json};

use super::{BEHAVIOR, CONDITIONS, CURRENT_METRICS, METRICS, metrics};
use crate::kinds::common::walk::{at, ensure, get, list, map_of, set, text};

/// The object in the old version.
pub fn convert(object: Value) -> Value {
    let nothing = Value::Null;
    let spec = get(&object, "spec").unwrap_or(&nothing);
    let status = get(&object, "status").unwrap_or(&nothing);
    let copied = |from: &Value, keys: &[&str]| -> Map<String, Value> {
        keys.iter().filter_map(|key| Some(((*key).to_owned(), get(from, key)?.clone()))).collect()
    };
    let mut old_spec = copied(spec, &["scaleTargetRef", "minReplicas", "maxReplicas"]);
    if let Some(share) = list(spec, "metrics").iter().find_map(|metric| cpu_share(metric, "target")) {
        old_spec.insert("targetCPUUtilizationPercentage".to_owned(), share.clone());
    }
    let mut old_status =
        copied(status, &["observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas"]);
    for key in ["currentReplicas", "desiredReplicas"] {
        old_status.entry(key).or_insert_with(|| 0.into());
    }
    if let Some(share) = list(status, "currentMetrics").iter().find_map(|metric| cpu_share(metric, "current"))
    {
        old_status.insert("currentCPUUtilizationPercentage".to_owned(), share.clone());
    }
    let mut annotations: Vec<(&str, String)> = Vec::new();
    let others: Vec<String> = list(spec, "metrics")
        .iter()
        .filter(|metric| cpu_share(metric, "target").is_none())
        .map(metrics::spec_to_old)
        .collect();
    if !others.is_empty() {
        annotations.push((METRICS, format!("[{}]", others.join(","))));
    }
    let current: Vec<String> = list(status, "currentMetrics").iter().map(metrics::status_to_old).collect();
    if !current.is_empty() {
        annotations.push((CURRENT_METRICS, format!("[{}]", current.join(","))));
    }
    if let Some(behavior) = get(spec, "behavior") {
        annotations.push((BEHAVIOR, behaviour(behavior)));
    }
    let conditions: Vec<String> = list(status, "conditions").iter().map(condition).collect();
    if !conditions.is_empty() {
        annotations.push((CONDITIONS, format!("[{}]", conditions.join(","))));
    }
    let mut made = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": object["metadata"]});
    if !annotations.is_empty() {
        let known = map_of(ensure(ensure(&mut made, "metadata"), "annotations"));
        known.extend(annotations.into_iter().map(|(key, text)| (key.to_owned(), text.into())));
    }
    set(&mut made, "spec", old_spec);
    set(&mut made, "status", old_status);
    made
}

fn cpu_share<'a>(metric: &'a Value, side: &str) -> Option<&'a Value> {
    let source = get(metric, "resource").filter(|source| text(source, "name") == "cpu")?;
    at(source, &[side, "averageUtilization"])
}

/// Upstream writes its internal type here: names as Go has them, and nothing left out.
fn behaviour(behavior: &Value) -> String {
    format!(
        "{{\"ScaleUp\":{},\"ScaleDown\":{}}}",
        rules(get(behavior, "scaleUp")),
        rules(get(behavior, "scaleDown"))
    )
}

fn rules(rules: Option<&Value>) -> String {
    let Some(rules) = rules else { return "null".to_owned() };
    let or_null = |key: &str| get(rules, key).map_or_else(|| "null".to_owned(), Value::to_string);
    let policies: Vec<String> = list(rules, "policies")
        .iter()
        .map(|policy| {
            format!(
                "{{\"Type\":{},\"Value\":{},\"PeriodSeconds\":{}}}",
                policy["type"], policy["value"], policy["periodSeconds"]
            )
        })
        .collect();
    let policies =
        if get(rules, "policies").is_some() { format!("[{}]", policies.join(",")) } else { "null".into() };
    format!(
        "{{\"StabilizationWindowSeconds\":{},\"SelectPolicy\":{},\"Policies\":{policies},\"Tolerance\":{}}}",
        or_null("stabilizationWindowSeconds"),
        or_null("selectPolicy"),
        or_null("tolerance"),
    )
}

fn condition(condition: &Value) -> String {
    let mut parts = vec![
        format!("\"type\":{}", json!(text(condition, "type"))),
        format!("\"status\":{}", json!(text(condition, "status"))),
    ];
    if let Some(time) = get(condition, "lastTransitionTime") {
        parts.push(format!("\"lastTransitionTime\":{time}"));
    }
    for key in ["reason", "message"] {
        if !text(condition, key).is_empty() {
            parts.push(format!("\"{key}\":{}", condition[key]));
        }
    }
    format!("{{{}}}", parts.join(","))
}
