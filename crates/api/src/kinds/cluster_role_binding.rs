//! `ClusterRoleBinding` of `rbac.authorization.k8s.io/v1`.

use super::common::rbac;
use jiff::Timestamp;
use serde_json::Value;

use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, NameRule, Part, Scope};

/// The kind's rules.
pub struct ClusterRoleBinding;

static INFO: KindInfo = KindInfo {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "ClusterRoleBinding",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "clusterrolebindings",
};

impl Kind for ClusterRoleBinding {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn set_defaults(&self, object: &mut Value) {
        rbac::default_binding(object);
    }

    fn columns(&self) -> &'static [Column] {
        rbac::BINDING_COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        rbac::binding_row(object, now)
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        rbac::validate_binding(object, &["ClusterRole"], errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        rbac::validate_binding(new, &["ClusterRole"], errors);
        rbac::keep_role(new, old, errors);
    }
}
