//! What a pod asks of a node, as far as DaemonSets need it.

use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};

use super::owner::name;

/// Whether a toleration is for a taint.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or("");
    let key = toleration.key.as_deref().unwrap_or("");
    let value = |text: &Option<String>| text.clone().unwrap_or_default();
    (effect.is_empty() || effect == taint.effect)
        && (key.is_empty() || key == taint.key)
        && match toleration.operator.as_deref().unwrap_or("") {
            "" | "Equal" => value(&toleration.value) == value(&taint.value),
            "Exists" => true,
            "Lt" | "Gt" => {
                let numbers = (value(&toleration.value).parse::<i64>(), value(&taint.value).parse::<i64>());
                match numbers {
                    (Ok(limit), Ok(held)) if toleration.operator.as_deref() == Some("Lt") => held < limit,
                    (Ok(limit), Ok(held)) => held > limit,
                    _ => false,
                }
            }
            _ => false,
        }
}

/// Whether the pod's tolerations cover every taint of the node with one of these effects.
pub(crate) fn tolerates_all(spec: &PodSpec, node: &Node, effects: &[&str]) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or(&[]);
    let tolerations = spec.tolerations.as_deref().unwrap_or(&[]);
    taints
        .iter()
        .filter(|taint| effects.contains(&taint.effect.as_str()))
        .all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// Whether the node fits the pod's nodeSelector and required node affinity.
pub(crate) fn is_wanted(spec: &PodSpec, node: &Node) -> bool {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let selected = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    selected
        && required.is_none_or(|required| required.node_selector_terms.iter().any(|term| fits(term, node)))
}

fn fits(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or(&[]);
    let fields = term.match_fields.as_deref().unwrap_or(&[]);
    // A term without anything matches nothing.
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let label = |key: &str| node.metadata.labels.as_ref()?.get(key).map(String::as_str);
    let field = |key: &str| (key == "metadata.name").then(|| name(node));
    expressions.iter().all(|rule| holds(rule, label(&rule.key)))
        && fields.iter().all(|rule| holds(rule, field(&rule.key)))
}

fn holds(rule: &NodeSelectorRequirement, held: Option<&str>) -> bool {
    let values = rule.values.as_deref().unwrap_or(&[]);
    let listed = held.is_some_and(|held| values.iter().any(|value| value == held));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    match rule.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => held.is_some(),
        "DoesNotExist" => held.is_none(),
        operator @ ("Gt" | "Lt") => match (number(held), number(values.first().map(String::as_str))) {
            (Some(held), Some(limit)) => {
                (operator == "Gt" && held > limit) || (operator == "Lt" && held < limit)
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::object;
    use serde_json::json;

    #[test]
    fn selectors_and_affinity() {
        let node: Node = object(json!({"metadata": {"name": "n1", "labels": {"disk": "ssd", "cores": "8"}}}));
        let spec = |value| -> PodSpec { serde_json::from_value(value).unwrap() };
        let affine = |term| {
            spec(json!({"containers": [], "affinity": {"nodeAffinity":
                {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}}))
        };
        assert!(is_wanted(&spec(json!({"containers": [], "nodeSelector": {"disk": "ssd"}})), &node));
        assert!(!is_wanted(&spec(json!({"containers": [], "nodeSelector": {"disk": "hdd"}})), &node));
        let rule = |operator, values| json!({"matchExpressions": [{"key": "cores", "operator": operator, "values": values}]});
        assert!(is_wanted(&affine(rule("Gt", json!(["4"]))), &node));
        assert!(!is_wanted(&affine(rule("Lt", json!(["4"]))), &node));
        assert!(!is_wanted(&affine(json!({})), &node));
        let named = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]});
        assert!(is_wanted(&affine(named), &node));
    }
}
