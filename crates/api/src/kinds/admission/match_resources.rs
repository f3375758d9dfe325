//! `MatchResources`: what a policy or its binding is about.
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/validating-admission-policy-v1/>

use serde_json::{Value, json};

use super::rules;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::walk::{default, default_text, get, text};
use crate::kinds::common::{check, label_selector};

/// Fills in what it leaves out.
pub fn default_match_resources(resources: &mut Value) {
    default_text(resources, "matchPolicy", "Equivalent");
    default(resources, "namespaceSelector", json!({}));
    default(resources, "objectSelector", json!({}));
    rules::set_defaults(resources, "resourceRules");
    rules::set_defaults(resources, "excludeResourceRules");
}

/// Checks it.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, resources: &Value) {
    let policy = text(resources, "matchPolicy");
    check::required_one_of(errors, &path.child("matchPolicy"), policy, &["Equivalent", "Exact"]);
    for key in ["namespaceSelector", "objectSelector"] {
        match get(resources, key) {
            None => errors.required(&path.child(key), ""),
            selector => label_selector::validate(selector, false, &path.child(key), errors),
        }
    }
    rules::validate(errors, path, resources, "resourceRules", true);
    rules::validate(errors, path, resources, "excludeResourceRules", true);
}
