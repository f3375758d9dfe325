//! `ClusterRole` of `rbac.authorization.k8s.io/v1`.

use crate::kind::{Kind, KindInfo, NameRule, Scope};

/// The kind's rules.
pub struct ClusterRole;

static INFO: KindInfo = KindInfo {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "ClusterRole",
    plural: "clusterroles",
    singular: "clusterrole",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "clusterroles",
};

impl Kind for ClusterRole {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }
}
