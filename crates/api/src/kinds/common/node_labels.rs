//! Labels of nodes that have other names now.
//! Source: <https://kubernetes.io/docs/reference/labels-annotations-taints/>

use serde_json::Value;

use super::walk::{list, text};
use crate::field::Path;

const OLD: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
];

/// What is said of a label, where it is one of old.
pub fn old(key: &str) -> Option<&'static str> {
    OLD.iter().find(|(known, _)| *known == key).map(|(_, words)| *words)
}

/// Warnings for the terms of a node selector.
pub fn in_terms(terms: &[Value], path: &Path<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, term) in terms.iter().enumerate() {
        let path = path.index(at);
        let path = path.child("matchExpressions");
        for (at, expression) in list(term, "matchExpressions").iter().enumerate() {
            let key = text(expression, "key");
            if let Some(words) = old(key) {
                warnings.push(format!("{}: {key} is {words}", path.index(at).child("key")));
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn old_labels_are_told_with_their_places() {
        let terms = [json!({"matchExpressions": [{"key": "a"}, {"key": "beta.kubernetes.io/os"}]})];
        assert_eq!(
            in_terms(&terms, &Path::new("t")),
            [
                "t[0].matchExpressions[1].key: beta.kubernetes.io/os is deprecated since v1.14; use \"kubernetes.io/os\" instead"
            ]
        );
    }
}
