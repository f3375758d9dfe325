//! `HorizontalPodAutoscaler` of `autoscaling/v2`.

mod checks;
mod metrics;
mod table;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::walk::{default, ensure, get, list, map_of, set};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope, Subresource};

/// The kind's rules.
pub struct HorizontalPodAutoscaler;

static INFO: KindInfo = KindInfo {
    group: "autoscaling",
    version: "v2",
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    short_names: &["hpa"],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "HorizontalPodAutoscaler",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "horizontalpodautoscalers",
};

impl Kind for HorizontalPodAutoscaler {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        default(spec, "minReplicas", 1);
        default_metrics(spec);
        if get(spec, "behavior").is_none() {
            return;
        }
        let behavior = ensure(spec, "behavior");
        let up = ensure(behavior, "scaleUp");
        default(up, "stabilizationWindowSeconds", 0);
        default(up, "selectPolicy", "Max");
        if list(up, "policies").is_empty() {
            set(
                up,
                "policies",
                json!([{"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15}]),
            );
        }
        let down = ensure(behavior, "scaleDown");
        default(down, "selectPolicy", "Max");
        if list(down, "policies").is_empty() {
            set(down, "policies", json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
        }
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        checks::spec(errors, &Path::new("spec"), &object["spec"], None);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            checks::status(errors, &new["status"]);
        } else {
            checks::spec(errors, &Path::new("spec"), &new["spec"], Some(&old["spec"]));
        }
    }

    fn columns(&self) -> &'static [Column] {
        table::COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        table::cells(object, now)
    }
}

/// Four fifths of the CPU that is asked for, where no metric is named.
pub(super) fn default_metrics(spec: &mut Value) {
    if list(spec, "metrics").is_empty() {
        map_of(spec).insert(
            "metrics".to_owned(),
            json!([{"type": "Resource", "resource":
                {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviour_is_filled_in_where_there_is_any() {
        let mut object = json!({"spec": {"maxReplicas": 3}});
        HorizontalPodAutoscaler.set_defaults(&mut object);
        assert_eq!(object["spec"]["minReplicas"], 1);
        assert_eq!(object["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
        assert!(object["spec"].get("behavior").is_none());
        object["spec"]["behavior"] = json!({"scaleUp": {"selectPolicy": "Disabled"}});
        HorizontalPodAutoscaler.set_defaults(&mut object);
        let behavior = &object["spec"]["behavior"];
        assert_eq!(behavior["scaleUp"]["selectPolicy"], "Disabled");
        assert_eq!(behavior["scaleUp"]["policies"][0]["value"], 4);
        assert_eq!(behavior["scaleDown"]["policies"][0]["type"], "Percent");
        assert!(behavior["scaleDown"].get("stabilizationWindowSeconds").is_none());
    }
}
