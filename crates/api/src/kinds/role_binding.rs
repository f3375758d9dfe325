//! `RoleBinding` of `rbac.authorization.k8s.io/v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct RoleBinding;

static INFO: KindInfo = KindInfo {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "RoleBinding",
    plural: "rolebindings",
    singular: "rolebinding",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "rolebindings",
};

impl Kind for RoleBinding {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
