//! Which rules a role has that is made of others. Pure.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles>

use std::sync::Arc;

use cox_client::Selector;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};

/// The rules that the role should have: each rule once of the roles that one of its selectors names, in the order of
/// their names. `None` where it isn't made of others, or has them already.
pub(crate) fn plan(role: &ClusterRole, roles: &[Arc<ClusterRole>]) -> Option<Vec<PolicyRule>> {
    let selectors = role.aggregation_rule.as_ref()?.cluster_role_selectors.as_deref().unwrap_or_default();
    let selectors: Vec<Selector> = selectors.iter().map(|selector| Selector::of(Some(selector))).collect();
    let mut rules: Vec<PolicyRule> = Vec::new();
    let mut parts: Vec<&Arc<ClusterRole>> = roles
        .iter()
        .filter(|part| part.metadata.name != role.metadata.name)
        .filter(|part| selectors.iter().any(|selector| selector.matches(&part.metadata.labels)))
        .collect();
    parts.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    for rule in parts.iter().flat_map(|part| part.rules.as_deref().unwrap_or_default()) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    (rules != role.rules.as_deref().unwrap_or_default()).then_some(rules)
}

#[cfg(test)]
mod tests {
    use super::plan;
    use crate::common::testing::object;
    use k8s_openapi::api::rbac::v1::ClusterRole;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn role(name: &str, label: &str, resources: &[&str]) -> Arc<ClusterRole> {
        let rules: Vec<Value> =
            resources.iter().map(|one| json!({"verbs": ["get"], "resources": [one]})).collect();
        Arc::new(object(json!({"metadata": {"name": name, "labels": {"to": label}}, "rules": rules})))
    }

    #[test]
    fn rules_are_those_of_the_parts_each_once_in_the_order_of_names() {
        let whole: ClusterRole = object(json!({"metadata": {"name": "whole", "labels": {"to": "a"}},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "a"}}, {"matchLabels": {"to": "b"}}]}}));
        let parts = [
            role("z", "a", &["pods", "nodes"]),
            role("b", "b", &["secrets", "pods"]),
            role("other", "c", &["leases"]),
            Arc::new(whole.clone()),
        ];
        let rules = plan(&whole, &parts).expect("it changes");
        let named: Vec<String> =
            rules.iter().map(|rule| rule.resources.clone().unwrap_or_default().concat()).collect();
        assert_eq!(named, ["secrets", "pods", "nodes"]);
        assert!(
            plan(&ClusterRole { rules: Some(rules), ..whole.clone() }, &parts).is_none(),
            "it has them already"
        );
        let emptied = ClusterRole { rules: parts[0].rules.clone(), ..whole };
        assert_eq!(plan(&emptied, &[]), Some(Vec::new()), "parts that go take their rules with them");
        assert!(plan(&parts[0], &parts).is_none(), "it isn't made of others");
    }
}
