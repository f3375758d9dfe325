//! The row of an autoscaler in a table.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::Column;
use crate::kinds::common::cells::{self, NONE, column};
use crate::kinds::common::walk::{at, get, int, int_ptr, list, text, text_ptr};

/// The columns.
pub const COLUMNS: &[Column] = &[
    cells::NAME,
    column("Reference", "string", "Object that is scaled."),
    column("Targets", "string", "Metrics as they are, of what they should be."),
    column("MinPods", "string", "Fewest replicas."),
    column("MaxPods", "string", "Most replicas."),
    column("Replicas", "string", "Replicas there are."),
    cells::AGE,
];

/// Metrics that are shown; more are counted.
const SHOWN_MAX: usize = 2;
const UNKNOWN: &str = "<unknown>";

/// The cells.
pub fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let target = &spec["scaleTargetRef"];
    vec![
        cells::name(object),
        format!("{}/{}", text(target, "kind"), text(target, "name")).into(),
        targets(list(spec, "metrics"), list(status, "currentMetrics")).into(),
        int_ptr(spec, "minReplicas").map_or_else(|| "<unset>".to_owned(), |least| least.to_string()).into(),
        int(spec, "maxReplicas").into(),
        int(status, "currentReplicas").into(),
        cells::age(object, now),
    ]
}

fn targets(specs: &[Value], statuses: &[Value]) -> String {
    if specs.is_empty() {
        return NONE.to_owned();
    }
    let shown: Vec<String> = specs
        .iter()
        .take(SHOWN_MAX)
        .enumerate()
        .map(|(index, spec)| target(spec, statuses.get(index)))
        .collect();
    let shown = shown.join(", ");
    if specs.len() > SHOWN_MAX { format!("{shown} + {} more...", specs.len() - SHOWN_MAX) } else { shown }
}

fn target(spec: &Value, status: Option<&Value>) -> String {
    let (key, named) = match text(spec, "type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let nothing = Value::Null;
    let source = get(spec, key).unwrap_or(&nothing);
    let target = get(source, "target").unwrap_or(&nothing);
    let current = status.and_then(|status| at(status, &[key, "current"])).unwrap_or(&nothing);
    let amount = |of: &Value, key: &str| text_ptr(of, key).map(str::to_owned);
    let average = amount(target, "averageValue");
    if named {
        let name = text(source, "name");
        return match average {
            Some(wanted) => {
                let now = amount(current, "averageValue").unwrap_or_else(|| UNKNOWN.to_owned());
                format!("{name}: {now}/{wanted}")
            }
            None => {
                let share = |of: &Value, none: &str| {
                    int_ptr(of, "averageUtilization")
                        .map_or_else(|| none.to_owned(), |share| format!("{share}%"))
                };
                format!("{name}: {}/{}", share(current, UNKNOWN), share(target, "<auto>"))
            }
        };
    }
    match average {
        Some(wanted) => {
            let now = amount(current, "averageValue").unwrap_or_else(|| UNKNOWN.to_owned());
            let mark = if key == "pods" { "" } else { " (avg)" };
            format!("{now}/{wanted}{mark}")
        }
        None => {
            let now = amount(current, "value").unwrap_or_else(|| UNKNOWN.to_owned());
            format!("{now}/{}", amount(target, "value").unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn targets_are_shown_beside_what_is() {
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 80}}});
        let pods =
            json!({"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"averageValue": "1k"}}});
        assert_eq!(targets(&[], &[]), "<none>");
        assert_eq!(targets(&[cpu.clone(), pods.clone()], &[]), "cpu: <unknown>/80%, <unknown>/1k");
        let now =
            json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7}}});
        assert_eq!(targets(&[cpu, pods.clone(), pods], &[now]), "cpu: 7%/80%, <unknown>/1k + 1 more...");
    }
}
