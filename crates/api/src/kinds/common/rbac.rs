//! What the four kinds of RBAC share.

use jiff::Timestamp;
use serde_json::Value;

use super::cells::{self, column, wide};
use super::check;
use super::walk::{default_text, ensure, get, list, list_mut, same, text};
use crate::field::{FieldErrors, Path};
use crate::kind::Column;

/// The group of roles, users and groups.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// Columns of RoleBindings and ClusterRoleBindings.
pub static BINDING_COLUMNS: &[Column] = &[
    cells::NAME,
    column("Role", "string", "The role that is given."),
    cells::AGE,
    wide("Users", "string", "Users who get it."),
    wide("Groups", "string", "Groups that get it."),
    wide("ServiceAccounts", "string", "Service accounts that get it."),
];

/// Groups of the role and the subjects, where they are left out.
pub fn default_binding(object: &mut Value) {
    default_text(ensure(object, "roleRef"), "apiGroup", GROUP);
    for subject in list_mut(object, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            default_text(subject, "apiGroup", GROUP);
        }
    }
}

/// The row of a binding.
pub fn binding_row(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = &object["roleRef"];
    let subjects = |kind: &str, show: &dyn Fn(&Value) -> String| -> Value {
        let all: Vec<String> =
            list(object, "subjects").iter().filter(|each| text(each, "kind") == kind).map(show).collect();
        all.join(", ").into()
    };
    let name = |subject: &Value| text(subject, "name").to_owned();
    let account = |subject: &Value| format!("{}/{}", text(subject, "namespace"), text(subject, "name"));
    vec![
        cells::name(object),
        format!("{}/{}", text(role, "kind"), text(role, "name")).into(),
        cells::age(object, now),
        subjects("User", &name),
        subjects("Group", &name),
        subjects("ServiceAccount", &account),
    ]
}

/// Checks the rules of a role; those of a namespace reach no paths.
pub fn validate_rules(object: &Value, namespaced: bool, errors: &mut FieldErrors) {
    let root = Path::new("rules");
    for (at, rule) in list(object, "rules").iter().enumerate() {
        let path = root.index(at);
        let has = |key: &str| !list(rule, key).is_empty();
        if !has("verbs") {
            errors.required(&path.child("verbs"), "verbs must contain at least one value");
        }
        if has("nonResourceURLs") {
            let (path, urls) = (path.child("nonResourceURLs"), &rule["nonResourceURLs"]);
            if namespaced {
                errors.invalid(&path, urls, "namespaced rules cannot apply to non-resource URLs");
            }
            if has("apiGroups") || has("resources") || has("resourceNames") {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid(&path, urls, detail);
            }
            continue;
        }
        if !has("apiGroups") {
            errors.required(&path.child("apiGroups"), "resource rules must supply at least one api group");
        }
        if !has("resources") {
            errors.required(&path.child("resources"), "resource rules must supply at least one resource");
        }
    }
}

/// Checks a binding, whose role may be of these kinds.
pub fn validate_binding(object: &Value, kinds: &[&str], errors: &mut FieldErrors) {
    let role = &object["roleRef"];
    let path = Path::new("roleRef");
    check::one_of(errors, &path.child("apiGroup"), text(role, "apiGroup"), &[GROUP]);
    check::one_of(errors, &path.child("kind"), text(role, "kind"), kinds);
    match text(role, "name") {
        "" => errors.required(&path.child("name"), ""),
        name => check::messages(errors, &path.child("name"), name, crate::meta::names::path_segment(name)),
    }
    let namespaced = kinds.contains(&"Role");
    let root = Path::new("subjects");
    for (at, subject) in list(object, "subjects").iter().enumerate() {
        validate_subject(subject, &root.index(at), namespaced, errors);
    }
}

fn validate_subject(subject: &Value, path: &Path<'_>, namespaced: bool, errors: &mut FieldErrors) {
    let name = text(subject, "name");
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    }
    let group = text(subject, "apiGroup");
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                check::subdomain(errors, &path.child("name"), name);
            }
            if !group.is_empty() {
                errors.not_supported(&path.child("apiGroup"), &group.into(), &[""]);
            }
            // In a namespace an account without one is that namespace's own.
            if !namespaced && text(subject, "namespace").is_empty() {
                errors.required(&path.child("namespace"), "");
            }
        }
        "User" | "Group" => check::one_of(errors, &path.child("apiGroup"), group, &[GROUP]),
        other => {
            errors.not_supported(&path.child("kind"), &other.into(), &["ServiceAccount", "User", "Group"])
        }
    }
}

/// A binding keeps its role.
pub fn keep_role(new: &Value, old: &Value, errors: &mut FieldErrors) {
    if !same(get(new, "roleRef"), get(old, "roleRef")) {
        let role = &new["roleRef"];
        let shown = format!(
            "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
            role["apiGroup"], role["kind"], role["name"]
        );
        errors.invalid_shown(&Path::new("roleRef"), shown, "cannot change roleRef");
    }
}
