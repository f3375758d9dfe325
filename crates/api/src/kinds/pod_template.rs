//! `PodTemplate` of `v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct PodTemplate;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "PodTemplate",
    plural: "podtemplates",
    singular: "podtemplate",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "podtemplates",
};

impl Kind for PodTemplate {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
