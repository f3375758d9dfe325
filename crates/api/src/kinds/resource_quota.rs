//! `ResourceQuota` of `v1`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

/// The kind's rules.
pub struct ResourceQuota;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "ResourceQuota",
    plural: "resourcequotas",
    singular: "resourcequota",
    short_names: &["quota"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "ResourceQuota",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "resourcequotas",
};

impl Kind for ResourceQuota {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
