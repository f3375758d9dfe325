//! `IngressClass` of `networking.k8s.io/v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct IngressClass;

static INFO: KindInfo = KindInfo {
    group: "networking.k8s.io",
    version: "v1",
    kind: "IngressClass",
    plural: "ingressclasses",
    singular: "ingressclass",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "ingressclasses",
};

impl Kind for IngressClass {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
