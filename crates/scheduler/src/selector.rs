//! Selectors as the scheduler needs them: of labels, and of nodes.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/>

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// Whether labels meet a requirement of any of the two sorts.
pub(crate) fn meets(labels: &Labels, key: &str, operator: &str, values: &[String]) -> bool {
    let value = labels.get(key);
    let number = |text: &String| text.parse::<i64>().ok();
    match operator {
        "In" => value.is_some_and(|value| values.contains(value)),
        "NotIn" => value.is_none_or(|value| !values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => value
            .and_then(number)
            .zip(values.first().and_then(number))
            .is_some_and(|(value, limit)| value > limit),
        "Lt" => value
            .and_then(number)
            .zip(values.first().and_then(number))
            .is_some_and(|(value, limit)| value < limit),
        _ => false,
    }
}

/// Whether labels match a selector; none matches nothing.
pub(crate) fn matches(selector: Option<&LabelSelector>, labels: &Labels) -> bool {
    let Some(selector) = selector else { return false };
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|wanted| {
            meets(labels, &wanted.key, &wanted.operator, wanted.values.as_deref().unwrap_or_default())
        })
}

/// Whether a node meets a term: all of its expressions and fields; an empty term matches nothing.
pub(crate) fn term(term: &NodeSelectorTerm, name: &str, labels: &Labels) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let met = |wanted: &NodeSelectorRequirement, labels: &Labels| {
        meets(labels, &wanted.key, &wanted.operator, wanted.values.as_deref().unwrap_or_default())
    };
    let field_labels: Labels = [("metadata.name".to_owned(), name.to_owned())].into();
    expressions.iter().all(|wanted| met(wanted, labels))
        && fields.iter().all(|wanted| met(wanted, &field_labels))
}
