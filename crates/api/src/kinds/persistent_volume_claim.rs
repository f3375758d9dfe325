//! `PersistentVolumeClaim` of `v1`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

/// The kind's rules.
pub struct PersistentVolumeClaim;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    short_names: &["pvc"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "PersistentVolumeClaim",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "persistentvolumeclaims",
};

impl Kind for PersistentVolumeClaim {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
