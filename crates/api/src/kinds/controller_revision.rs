//! `ControllerRevision` of `apps/v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct ControllerRevision;

static INFO: KindInfo = KindInfo {
    group: "apps",
    version: "v1",
    kind: "ControllerRevision",
    plural: "controllerrevisions",
    singular: "controllerrevision",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "controllerrevisions",
};

impl Kind for ControllerRevision {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
