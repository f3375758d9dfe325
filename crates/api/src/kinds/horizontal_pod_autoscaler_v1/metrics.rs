//! Metrics in the old form, as annotations hold them: the fields of a target beside those of its metric.

use serde_json::{Map, Value, json};

use crate::kinds::common::label_selector;
use crate::kinds::common::walk::{get, text};

/// What a metric is measured of: the key of its source.
fn source_key(metric: &Value) -> &'static str {
    match text(metric, "type") {
        "Object" => "object",
        "Pods" => "pods",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => "external",
    }
}

/// Names of the old form for a wanted amount (`target`) or a measured one (`current`).
struct Names {
    side: &'static str,
    value: &'static str,
    average_value: &'static str,
    average_utilization: &'static str,
}

const TARGET: Names = Names {
    side: "target",
    value: "targetValue",
    average_value: "targetAverageValue",
    average_utilization: "targetAverageUtilization",
};
const CURRENT: Names = Names {
    side: "current",
    value: "currentValue",
    average_value: "currentAverageValue",
    average_utilization: "currentAverageUtilization",
};

/// An entry of `spec.metrics` in the old form, as JSON in upstream's order.
pub fn spec_to_old(metric: &Value) -> String {
    to_old(metric, &TARGET)
}

/// An entry of `status.currentMetrics` in the old form.
pub fn status_to_old(metric: &Value) -> String {
    to_old(metric, &CURRENT)
}

/// An entry of `spec.metrics` from the old form.
pub fn spec_from_old(metric: &Value) -> Value {
    from_old(metric, &TARGET)
}

/// An entry of `status.currentMetrics` from the old form.
pub fn status_from_old(metric: &Value) -> Value {
    from_old(metric, &CURRENT)
}

/// An object out of names and JSON, without those that have none.
fn object(fields: &[(&str, Option<String>)]) -> String {
    let parts: Vec<String> = fields
        .iter()
        .filter_map(|(name, json)| json.as_ref().map(|json| format!("\"{name}\":{json}")))
        .collect();
    format!("{{{}}}", parts.join(","))
}

fn to_old(metric: &Value, names: &Names) -> String {
    let key = source_key(metric);
    let nothing = Value::Null;
    let source = get(metric, key).unwrap_or(&nothing);
    let amounts = get(source, names.side).unwrap_or(&nothing);
    let measured = get(source, "metric").unwrap_or(&nothing);
    let amount = |key: &str| get(amounts, key).map(Value::to_string);
    let name = || Some(json!(text(measured, "name")).to_string());
    let selector = || get(measured, "selector").map(label_selector::json);
    let zero = || Some("\"0\"".to_owned());
    let old = match key {
        "object" => {
            let reference = get(source, "describedObject").unwrap_or(&nothing);
            let target = object(&[
                ("kind", Some(json!(text(reference, "kind")).to_string())),
                ("name", Some(json!(text(reference, "name")).to_string())),
                ("apiVersion", get(reference, "apiVersion").map(Value::to_string)),
            ]);
            object(&[
                ("target", Some(target)),
                ("metricName", name()),
                (names.value, amount("value").or_else(zero)),
                ("selector", selector()),
                ("averageValue", amount("averageValue")),
            ])
        }
        "pods" => object(&[
            ("metricName", name()),
            (names.average_value, amount("averageValue").or_else(zero)),
            ("selector", selector()),
        ]),
        "external" => {
            let value = amount("value");
            let value = if names.side == "current" { value.or_else(zero) } else { value };
            object(&[
                ("metricName", name()),
                ("metricSelector", selector()),
                (names.value, value),
                (names.average_value, amount("averageValue")),
            ])
        }
        _ => object(&[
            ("name", Some(json!(text(source, "name")).to_string())),
            (names.average_utilization, amount("averageUtilization")),
            (names.average_value, amount("averageValue")),
            ("container", get(source, "container").map(Value::to_string)),
        ]),
    };
    object(&[("type", Some(json!(text(metric, "type")).to_string())), (key, Some(old))])
}

fn from_old(metric: &Value, names: &Names) -> Value {
    let key = source_key(metric);
    let nothing = Value::Null;
    let old = get(metric, key).unwrap_or(&nothing);
    let mut amounts = Map::new();
    let average_value = if key == "object" { "averageValue" } else { names.average_value };
    let average = get(old, average_value);
    // The object's plain value is always written: it counts unless there is an average.
    let value =
        get(old, names.value).filter(|_| average.is_none() || names.side == "current" && key != "external");
    for (name, amount) in [
        ("value", value),
        ("averageValue", average),
        ("averageUtilization", get(old, names.average_utilization)),
    ] {
        if let Some(amount) = amount {
            amounts.insert(name.to_owned(), amount.clone());
        }
    }
    if names.side == "target" {
        let kind = if amounts.contains_key("averageUtilization") {
            "Utilization"
        } else if amounts.contains_key("averageValue") {
            "AverageValue"
        } else {
            "Value"
        };
        amounts.insert("type".to_owned(), kind.into());
    }
    let mut source = Map::new();
    if matches!(key, "resource" | "containerResource") {
        source.insert("name".to_owned(), text(old, "name").into());
        if let Some(container) = get(old, "container") {
            source.insert("container".to_owned(), container.clone());
        }
    } else {
        let mut measured = Map::from_iter([("name".to_owned(), Value::from(text(old, "metricName")))]);
        let selector = if key == "external" { "metricSelector" } else { "selector" };
        if let Some(selector) = get(old, selector) {
            measured.insert("selector".to_owned(), selector.clone());
        }
        source.insert("metric".to_owned(), measured.into());
        if key == "object" {
            source.insert("describedObject".to_owned(), get(old, "target").cloned().unwrap_or_default());
        }
    }
    source.insert(names.side.to_owned(), amounts.into());
    json!({"type": text(metric, "type"), key: source})
}
