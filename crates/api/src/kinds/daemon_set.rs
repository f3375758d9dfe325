//! `DaemonSet` of `apps/v1`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

/// The kind's rules.
pub struct DaemonSet;

static INFO: KindInfo = KindInfo {
    group: "apps",
    version: "v1",
    kind: "DaemonSet",
    plural: "daemonsets",
    singular: "daemonset",
    short_names: &["ds"],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "DaemonSet",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "daemonsets",
};

impl Kind for DaemonSet {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
