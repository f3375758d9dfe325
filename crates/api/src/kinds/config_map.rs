//! `ConfigMap` of `v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct ConfigMap;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "configmaps",
};

impl Kind for ConfigMap {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
