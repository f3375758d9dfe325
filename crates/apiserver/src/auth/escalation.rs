//! Nobody grants what they don't have, unless a role says that they may.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>

use cox_api::Status;
use serde_json::Value;

use super::rbac::{PolicyRule, RoleRef, uncovered};
use super::{Attributes, Authorizer, MASTERS, User};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Checks a role or binding about to be written. `old` is what it was before.
///
/// # Errors
/// 403 with the rules that the user lacks; 404 for a binding to a role that isn't there.
pub(crate) fn check_escalation(
    authorizer: &Authorizer,
    user: &User,
    plural: &str,
    new: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if user.is_in(MASTERS) {
        return Ok(());
    }
    let namespace = new["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    let asked: Vec<PolicyRule> = if matches!(plural, "roles" | "clusterroles") {
        if old.is_some_and(|old| {
            old["rules"] == new["rules"] && old["aggregationRule"] == new["aggregationRule"]
        }) {
            return Ok(());
        }
        let may = Attributes { namespace, name, ..Attributes::resource(user, "escalate", GROUP, plural) };
        if authorizer.decide(&may).allowed {
            return Ok(());
        }
        if new.get("aggregationRule").is_some_and(|rule| !rule.is_null()) {
            // An aggregated role may come to hold anything.
            vec![
                PolicyRule {
                    verbs: vec!["*".into()],
                    api_groups: vec!["*".into()],
                    resources: vec!["*".into()],
                    ..PolicyRule::default()
                },
                PolicyRule {
                    verbs: vec!["*".into()],
                    non_resource_urls: vec!["*".into()],
                    ..PolicyRule::default()
                },
            ]
        } else {
            serde_json::from_value(new["rules"].clone()).unwrap_or_default()
        }
    } else {
        if old.is_some_and(|old| old["roleRef"] == new["roleRef"] && old["subjects"] == new["subjects"]) {
            return Ok(());
        }
        let Ok(role) = serde_json::from_value::<RoleRef>(new["roleRef"].clone()) else { return Ok(()) };
        let roles = if role.kind == "ClusterRole" { "clusterroles" } else { "roles" };
        let may =
            Attributes { namespace, name: &role.name, ..Attributes::resource(user, "bind", GROUP, roles) };
        if authorizer.decide(&may).allowed {
            return Ok(());
        }
        authorizer.role_rules(namespace, &role).ok_or_else(|| Status::not_found(GROUP, plural, &role.name))?
    };
    let (owned, faults) = authorizer.rules_of(user, namespace);
    let missing = uncovered(&owned, &asked);
    if missing.is_empty() {
        return Ok(());
    }
    let groups: Vec<String> = user.groups.iter().map(|group| format!("{group:?}")).collect();
    let mut lines: Vec<String> = missing.iter().map(PolicyRule::compact).collect();
    lines.sort();
    let mut why = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        lines.join("\n")
    );
    if !faults.is_empty() {
        why.push_str(&format!("; resolution errors: [{}]", faults.join(", ")));
    }
    Err(Status::forbidden(GROUP, plural, name, &why))
}
