//! `EndpointSlice` of `discovery.k8s.io/v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct EndpointSlice;

static INFO: KindInfo = KindInfo {
    group: "discovery.k8s.io",
    version: "v1",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "endpointslices",
};

impl Kind for EndpointSlice {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
