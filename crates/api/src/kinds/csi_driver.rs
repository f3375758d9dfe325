//! `CSIDriver` of `storage.k8s.io/v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct CSIDriver;

static INFO: KindInfo = KindInfo {
    group: "storage.k8s.io",
    version: "v1",
    kind: "CSIDriver",
    plural: "csidrivers",
    singular: "csidriver",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "csidrivers",
};

impl Kind for CSIDriver {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
