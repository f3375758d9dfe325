//! Label selectors over decoded objects.

use std::collections::BTreeMap;

use cox_api::Object;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The labels of a decoded object.
pub type Labels = BTreeMap<String, String>;

/// Something that has labels.
pub trait Labelled {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labelled for Labels {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Labelled for Option<Labels> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.get(key).map(String::as_str)
    }
}

impl Labelled for Object {
    fn label(&self, key: &str) -> Option<&str> {
        self.header().labels.get(key).map(|value| &**value)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Equals(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
}

/// A compiled label selector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// Matches nothing, like an absent `LabelSelector`.
    Nothing,
    /// Matches what fulfils every rule; without rules everything, like an empty `LabelSelector`.
    All(Rules),
}

/// The rules of a selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rules(Vec<Rule>);

impl Selector {
    /// Compiles `metav1.LabelSelector`; absent matches nothing, empty matches everything. A rule with an unknown
    /// operator, which the API server doesn't let in, matches nothing.
    pub fn of(selector: Option<&LabelSelector>) -> Selector {
        let Some(selector) = selector else { return Selector::Nothing };
        let mut rules = Selector::rules_of(selector.match_labels.as_ref());
        for requirement in selector.match_expressions.iter().flatten() {
            let key = requirement.key.clone();
            let values = requirement.values.clone().unwrap_or_default();
            rules.push(match requirement.operator.as_str() {
                "In" => Rule::In(key, values),
                "NotIn" => Rule::NotIn(key, values),
                "Exists" => Rule::Exists(key),
                "DoesNotExist" => Rule::DoesNotExist(key),
                _ => return Selector::Nothing,
            });
        }
        Selector::All(Rules(rules))
    }

    /// Compiles a plain map of labels (Service, ReplicationController, nodeSelector); absent or empty matches everything.
    pub fn of_map(labels: Option<&Labels>) -> Selector {
        Selector::All(Rules(Selector::rules_of(labels)))
    }

    fn rules_of(labels: Option<&Labels>) -> Vec<Rule> {
        labels.into_iter().flatten().map(|(key, value)| Rule::Equals(key.clone(), value.clone())).collect()
    }

    /// Whether the selector matches everything.
    pub fn is_everything(&self) -> bool {
        matches!(self, Selector::All(rules) if rules.0.is_empty())
    }

    /// Whether these labels match.
    pub fn matches(&self, labels: &impl Labelled) -> bool {
        let Selector::All(rules) = self else { return false };
        rules.0.iter().all(|rule| match rule {
            Rule::Equals(key, value) => labels.label(key) == Some(value),
            Rule::In(key, values) => {
                labels.label(key).is_some_and(|value| values.iter().any(|known| known == value))
            }
            Rule::NotIn(key, values) => {
                labels.label(key).is_none_or(|value| values.iter().all(|known| known != value))
            }
            Rule::Exists(key) => labels.label(key).is_some(),
            Rule::DoesNotExist(key) => labels.label(key).is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn selectors_match_as_upstreams() {
        let of = |value| {
            let selector: LabelSelector = serde_json::from_value(value).unwrap();
            Selector::of(Some(&selector))
        };
        let web = labels(&[("app", "web"), ("tier", "front")]);
        assert!(of(json!({})).matches(&web), "an empty selector matches everything");
        assert!(!Selector::of(None).matches(&web), "an absent selector matches nothing");
        assert!(of(json!({"matchLabels": {"app": "web"}})).matches(&web));
        assert!(!of(json!({"matchLabels": {"app": "web", "x": "y"}})).matches(&web));
        for (operator, values, expected) in [
            ("In", json!(["front", "back"]), true),
            ("In", json!(["back"]), false),
            ("NotIn", json!(["front"]), false),
            ("NotIn", json!(["back"]), true),
            ("Exists", json!([]), true),
            ("DoesNotExist", json!([]), false),
        ] {
            let selector =
                of(json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]}));
            assert_eq!(selector.matches(&web), expected, "{operator}");
        }
        let absent = of(json!({"matchExpressions": [{"key": "no", "operator": "NotIn", "values": ["a"]}]}));
        assert!(absent.matches(&web), "NotIn matches objects without the label");
    }
}
