//! `Endpoints` of `v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct Endpoints;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "services/endpoints",
};

impl Kind for Endpoints {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
