//! `PriorityClass` of `scheduling.k8s.io/v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct PriorityClass;

static INFO: KindInfo = KindInfo {
    group: "scheduling.k8s.io",
    version: "v1",
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "priorityclasses",
};

impl Kind for PriorityClass {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
