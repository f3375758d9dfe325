//! `metav1.LabelSelector` inside objects: whether it is valid, and how it is shown.

use serde_json::Value;

use super::check;
use super::walk::{get, list, map, text};
use crate::field::{FieldErrors, Path};
use crate::meta::{names, validate_labels};
use crate::selector::LabelSelector;

/// Checks a selector; none is fine. `any_value` leaves the values of expressions alone.
pub fn validate(selector: Option<&Value>, any_value: bool, path: &Path<'_>, errors: &mut FieldErrors) {
    let Some(selector) = selector else { return };
    validate_labels(&selector["matchLabels"], &path.child("matchLabels"), errors);
    let path = path.child("matchExpressions");
    for (index, expression) in list(selector, "matchExpressions").iter().enumerate() {
        let path = path.index(index);
        let values = list(expression, "values");
        match text(expression, "operator") {
            "In" | "NotIn" if values.is_empty() => {
                errors
                    .required(&path.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.forbidden(
                &path.child("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(&path.child("operator"), &other.into(), "not a valid selector operator"),
        }
        let key = text(expression, "key");
        check::messages(errors, &path.child("key"), key, names::qualified_name(key));
        if any_value {
            continue;
        }
        for (index, value) in values.iter().filter_map(Value::as_str).enumerate() {
            check::messages(errors, &path.child("values").index(index), value, names::label_value(value));
        }
    }
}

/// Whether it has neither labels nor expressions.
pub fn is_empty(selector: &Value) -> bool {
    map(selector, "matchLabels").is_empty() && list(selector, "matchExpressions").is_empty()
}

/// As tables show it: `a=b,c in (d,e)`, `<none>`, or `<error>`.
pub fn show(selector: Option<&Value>) -> String {
    match LabelSelector::of_object(selector.unwrap_or(&Value::Null)) {
        Err(_) => "<error>".to_owned(),
        Ok(selector) if selector.requirements().is_empty() => super::cells::NONE.to_owned(),
        Ok(selector) => selector.to_string(),
    }
}

/// As upstream's JSON writes it: labels before expressions, the parts of an expression in their order.
pub fn json(selector: &Value) -> String {
    let mut parts = Vec::new();
    if !map(selector, "matchLabels").is_empty() {
        parts.push(format!("\"matchLabels\":{}", selector["matchLabels"]));
    }
    let expressions: Vec<String> = list(selector, "matchExpressions")
        .iter()
        .map(|expression| {
            let word = |key: &str| get(expression, key).map_or_else(|| "\"\"".to_owned(), Value::to_string);
            let mut text = format!("{{\"key\":{},\"operator\":{}", word("key"), word("operator"));
            if !list(expression, "values").is_empty() {
                text.push_str(&format!(",\"values\":{}", expression["values"]));
            }
            text.push('}');
            text
        })
        .collect();
    if !expressions.is_empty() {
        parts.push(format!("\"matchExpressions\":[{}]", expressions.join(",")));
    }
    format!("{{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_are_shown_sorted() {
        let selector = json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["z", "y"]},
            {"key": "c", "operator": "Exists"}], "matchLabels": {"b": "1"}});
        assert_eq!(show(Some(&selector)), "a in (y,z),b=1,c");
        assert_eq!(show(Some(&json!({}))), "<none>");
        assert_eq!(show(None), "<none>");
        assert_eq!(
            json(&selector),
            r#"{"matchLabels":{"b":"1"},"matchExpressions":[{"key":"a","operator":"In","values":["z","y"]},{"key":"c","operator":"Exists"}]}"#
        );
    }

    #[test]
    fn faults_are_upstreams() {
        let selector = json!({"matchLabels": {"a": "b c"}, "matchExpressions": [
            {"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["x"]},
            {"key": "a", "operator": "Is"}, {"key": "a", "operator": "In", "values": ["x y"]}]});
        let fields = |any: bool| {
            let mut errors = FieldErrors::new();
            validate(Some(&selector), any, &Path::new("s"), &mut errors);
            errors.0.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        let mut expected = vec![
            "s.matchLabels",
            "s.matchExpressions[0].values",
            "s.matchExpressions[1].values",
            "s.matchExpressions[2].operator",
            "s.matchExpressions[3].values[0]",
        ];
        assert_eq!(fields(false), expected);
        expected.pop();
        assert_eq!(fields(true), expected);
    }
}
