//! Rules: which operations on which resources something has a say in.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules>

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{default_text, list, list_mut, text_ptr, texts};
use crate::meta::names;

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];

/// Fills in the scopes of rules.
pub(super) fn set_defaults(holder: &mut Value, key: &str) {
    for rule in list_mut(holder, key) {
        default_text(rule, "scope", "*");
    }
}

/// Checks the rules under a key. `named`: they can name objects as well.
pub(super) fn validate(errors: &mut FieldErrors, path: &Path<'_>, holder: &Value, key: &str, named: bool) {
    for (at, rule) in list(holder, key).iter().enumerate() {
        let path = path.child(key);
        let path = path.index(at);
        if named {
            resource_names(errors, &path.child("resourceNames"), rule);
        }
        operations(errors, &path.child("operations"), rule);
        for (key, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
            let words: Vec<&str> = texts(rule, key).collect();
            let path = path.child(key);
            if words.is_empty() {
                errors.required(&path, "");
            }
            alone(errors, &path, rule, key, what);
            // Groups may be empty: the core group is.
            for (at, _) in
                words.iter().enumerate().filter(|(_, word)| key == "apiVersions" && word.is_empty())
            {
                errors.required(&path.index(at), "");
            }
        }
        resources(errors, &path.child("resources"), rule);
        if let Some(scope) = text_ptr(rule, "scope") {
            check::one_of(errors, &path.child("scope"), scope, &SCOPES);
        }
    }
}

/// `*` stands alone.
fn alone(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value, key: &str, what: &str) {
    if list(rule, key).len() > 1 && texts(rule, key).any(|word| word == "*") {
        errors.invalid(path, &rule[key], format!("if '*' is present, must not specify other {what}"));
    }
}

fn resource_names(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value) {
    let all: Vec<&str> = texts(rule, "resourceNames").collect();
    for (at, name) in all.iter().enumerate() {
        check::messages(errors, &path.index(at), name, names::path_segment(name));
        if all[..at].contains(name) {
            errors.duplicate(&path.index(at), &(*name).into());
        }
    }
}

fn operations(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value) {
    if list(rule, "operations").is_empty() {
        errors.required(path, "");
    }
    alone(errors, path, rule, "operations", "operations");
    for (at, operation) in texts(rule, "operations").enumerate() {
        check::one_of(errors, &path.index(at), operation, &OPERATIONS);
    }
}

fn resources(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value) {
    let all: Vec<&str> = texts(rule, "resources").collect();
    if all.is_empty() {
        errors.required(path, "");
    }
    let (mut all_of_resource, mut all_of_subresource) = (Vec::new(), Vec::new());
    // Upstream looks at the last one without a subresource alone.
    let mut plain = false;
    for (at, word) in all.iter().enumerate() {
        let path = path.index(at);
        if word.is_empty() {
            errors.required(&path, "");
            continue;
        }
        let Some((resource, sub)) = word.split_once('/') else {
            plain = *word != "*";
            continue;
        };
        if all_of_resource.contains(&resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {word}");
            check::bad_text(errors, &path, word, detail);
        }
        if all_of_subresource.contains(&sub) {
            let detail = format!("if '*/{sub}' is present, must not specify {word}");
            check::bad_text(errors, &path, word, detail);
        }
        if sub == "*" {
            all_of_resource.push(resource);
        }
        if resource == "*" {
            all_of_subresource.push(sub);
        }
    }
    if all.len() > 1 && all.contains(&"*/*") {
        errors.invalid(path, &rule["resources"], "if '*/*' is present, must not specify other resources");
    }
    if all.contains(&"*") && plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.invalid(path, &rule["resources"], detail);
    }
}
