//! `LimitRange` of `v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct LimitRange;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "LimitRange",
    plural: "limitranges",
    singular: "limitrange",
    short_names: &["limits"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "limitranges",
};

impl Kind for LimitRange {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
