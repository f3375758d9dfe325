//! `HorizontalPodAutoscaler` of `autoscaling/v1`.

mod from_stored;
mod metrics;
mod to_stored;

use jiff::Timestamp;
use serde_json::Value;

use super::common::walk::{default, ensure};
use super::horizontal_pod_autoscaler::HorizontalPodAutoscaler;
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, Part, Scope, Subresource};

/// Where the old version keeps what it has no fields for.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The kind's rules.
pub struct HorizontalPodAutoscalerV1;

static INFO: KindInfo = KindInfo {
    group: "autoscaling",
    version: "v1",
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

impl Kind for HorizontalPodAutoscalerV1 {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn stored_as(&self) -> Option<&'static dyn Kind> {
        Some(&HorizontalPodAutoscaler)
    }

    fn to_stored(&self, object: Value) -> Value {
        to_stored::convert(object)
    }

    fn from_stored(&self, object: Value) -> Value {
        from_stored::convert(object)
    }

    fn set_defaults(&self, object: &mut Value) {
        default(ensure(object, "spec"), "minReplicas", 1);
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        HorizontalPodAutoscaler.validate_create(&to_stored::convert(object.clone()), errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        let [new, old] = [new, old].map(|object| to_stored::convert(object.clone()));
        HorizontalPodAutoscaler.validate_update(&new, &old, part, errors);
    }

    fn columns(&self) -> &'static [Column] {
        HorizontalPodAutoscaler.columns()
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        HorizontalPodAutoscaler.row(&to_stored::convert(object.clone()), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_survives_the_way_there_and_back() {
        let spec = json!({"scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
            "minReplicas": 2, "maxReplicas": 10, "metrics": [
                {"type": "ContainerResource", "containerResource": {"name": "memory", "container": "c",
                    "target": {"type": "AverageValue", "averageValue": "100Mi"}}},
                {"type": "Pods", "pods": {"metric": {"name": "m"},
                    "target": {"type": "AverageValue", "averageValue": "1k"}}},
                {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s", "apiVersion": "v1"},
                    "metric": {"name": "hits", "selector": {"matchLabels": {"app": "a"}}},
                    "target": {"type": "Value", "value": "2k"}}},
                {"type": "External", "external": {"metric": {"name": "q"},
                    "target": {"type": "AverageValue", "averageValue": "30"}}},
                {"type": "Resource", "resource": {"name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 50}}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60, "selectPolicy": "Max",
                "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]}}});
        let stored = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h"}, "spec": spec,
            "status": {"currentReplicas": 1, "desiredReplicas": 2, "currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu",
                    "current": {"averageUtilization": 7, "averageValue": "70m"}}}],
                "conditions": [{"type": "AbleToScale", "status": "True"}]}});
        let shown = HorizontalPodAutoscalerV1.from_stored(stored.clone());
        assert_eq!(shown["spec"]["targetCPUUtilizationPercentage"], 50);
        assert_eq!(shown["status"]["currentCPUUtilizationPercentage"], 7);
        let annotations = &shown["metadata"]["annotations"];
        assert_eq!(
            annotations[BEHAVIOR],
            concat!(
                r#"{"ScaleUp":null,"ScaleDown":{"StabilizationWindowSeconds":60,"SelectPolicy":"Max","#,
                r#""Policies":[{"Type":"Percent","Value":10,"PeriodSeconds":60}],"Tolerance":null}}"#
            )
        );
        assert!(annotations[METRICS].as_str().unwrap().contains(
            r#"{"target":{"kind":"Service","name":"s","apiVersion":"v1"},"metricName":"hits","targetValue":"2k","selector":{"matchLabels":{"app":"a"}}}"#
        ));
        assert_eq!(HorizontalPodAutoscalerV1.to_stored(shown), stored);
    }
}
