//! What the four kinds of RBAC share.

use jiff::Timestamp;
use serde_json::Value;

use super::cells::{self, column, wide};
use super::walk::{default_text, ensure, list, list_mut, text};
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
