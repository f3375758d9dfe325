//! `Role` of `rbac.authorization.k8s.io/v1`.

use serde_json::Value;

use super::common::rbac;
use crate::field::FieldErrors;
use crate::kind::{Kind, KindInfo, NameRule, Part, Scope};

/// The kind's rules.
pub struct Role;

static INFO: KindInfo = KindInfo {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "Role",
    plural: "roles",
    singular: "role",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "roles",
};

impl Kind for Role {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        rbac::validate_rules(object, true, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        rbac::validate_rules(new, true, errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::faults;

    #[test]
    fn rules_are_about_resources() {
        assert_eq!(
            faults(&Role, json!({"rules": [{"verbs": ["get"]}, {"nonResourceURLs": ["/x"], "verbs": []}]})),
            [
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
                "rules[1].verbs: Required value: verbs must contain at least one value",
                "rules[1].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
            ]
        );
        assert_eq!(
            faults(&Role, json!({"metadata": {"name": "a/b"}})),
            ["metadata.name: Invalid value: \"a/b\": may not contain '/'"]
        );
    }
}
