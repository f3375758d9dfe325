//! `HorizontalPodAutoscaler` of `autoscaling/v2`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

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
}
