//! `RoleBinding` of `rbac.authorization.k8s.io/v1`.

use super::common::rbac;
use jiff::Timestamp;
use serde_json::Value;

use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, NameRule, Part, Scope};

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
        rbac::validate_binding(object, &["Role", "ClusterRole"], errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        rbac::validate_binding(new, &["Role", "ClusterRole"], errors);
        rbac::keep_role(new, old, errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{made, update_faults};

    #[test]
    fn the_role_stays() {
        let binding =
            json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]});
        let stored = made(&RoleBinding, binding.clone());
        assert_eq!(stored["subjects"][0]["apiGroup"], rbac::GROUP);
        assert_eq!(
            update_faults(&RoleBinding, binding, Part::Main, |new| new["roleRef"]["name"] = "s".into()),
            [
                "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"Role\",\"Name\":\"s\"}: cannot change roleRef"
            ]
        );
    }
}
