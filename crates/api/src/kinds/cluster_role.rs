//! `ClusterRole` of `rbac.authorization.k8s.io/v1`.

use serde_json::Value;

use super::common::walk::{get, list};
use super::common::{label_selector, rbac};
use crate::field::{FieldErrors, Path};
use crate::kind::{Kind, KindInfo, NameRule, Part, Scope};

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

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        rbac::validate_rules(object, false, errors);
        aggregation(object, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        rbac::validate_rules(new, false, errors);
        aggregation(new, errors);
    }
}

fn aggregation(object: &Value, errors: &mut FieldErrors) {
    let Some(rule) = get(object, "aggregationRule") else { return };
    let path = Path::new("aggregationRule");
    let path = path.child("clusterRoleSelectors");
    let selectors = list(rule, "clusterRoleSelectors");
    if selectors.is_empty() {
        errors.required(&path, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    for (at, selector) in selectors.iter().enumerate() {
        label_selector::validate(Some(selector), false, &path.index(at), errors);
    }
}
