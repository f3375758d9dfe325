//! `Ingress` of `networking.k8s.io/v1`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

/// The kind's rules.
pub struct Ingress;

static INFO: KindInfo = KindInfo {
    group: "networking.k8s.io",
    version: "v1",
    kind: "Ingress",
    plural: "ingresses",
    singular: "ingress",
    short_names: &["ing"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "Ingress",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "ingress",
};

impl Kind for Ingress {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
