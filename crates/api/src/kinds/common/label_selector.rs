//! `metav1.LabelSelector` inside objects: whether it is valid, what it matches, and how it is shown.

use serde_json::{Map, Value};

use super::walk::{get, list, map, text};

/// Whether labels match. No selector matches nothing, an empty one everything; a faulty one is an error.
///
/// # Errors
/// Where upstream couldn't make a selector of it: an unknown operator, values where none may be or the other way
/// round, bad keys and values.
pub fn matches(selector: Option<&Value>, labels: &Map<String, Value>) -> Result<bool, ()> {
    let Some(selector) = selector else { return Ok(false) };
    check(selector)?;
    let value = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal = map(selector, "matchLabels").iter().all(|(key, wanted)| value(key) == wanted.as_str());
    Ok(equal
        && list(selector, "matchExpressions").iter().all(|expression| {
            let have = value(text(expression, "key"));
            let among = |have: &str| list(expression, "values").iter().any(|each| each == have);
            match text(expression, "operator") {
                "In" => have.is_some_and(among),
                "NotIn" => !have.is_some_and(among),
                "Exists" => have.is_some(),
                _ => have.is_none(),
            }
        }))
}

/// Whether upstream could make a selector of it.
///
/// # Errors
/// See [`matches`].
pub fn check(selector: &Value) -> Result<(), ()> {
    let good = |ok: bool| if ok { Ok(()) } else { Err(()) };
    for (key, value) in map(selector, "matchLabels") {
        good(is_key(key) && is_value(value.as_str().unwrap_or_default()))?;
    }
    for expression in list(selector, "matchExpressions") {
        let values = list(expression, "values");
        good(is_key(text(expression, "key")))?;
        good(match text(expression, "operator") {
            "In" | "NotIn" => !values.is_empty(),
            "Exists" | "DoesNotExist" => values.is_empty(),
            _ => false,
        })?;
        good(values.iter().all(|value| is_value(value.as_str().unwrap_or_default())))?;
    }
    Ok(())
}

/// Whether it has neither labels nor expressions.
pub fn is_empty(selector: &Value) -> bool {
    map(selector, "matchLabels").is_empty() && list(selector, "matchExpressions").is_empty()
}

/// As tables show it: `a=b,c in (d,e)`, `<none>`, or `<error>`.
pub fn show(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return super::cells::NONE.to_owned() };
    if check(selector).is_err() {
        return "<error>".to_owned();
    }
    let mut parts: Vec<(&str, String)> = map(selector, "matchLabels")
        .iter()
        .map(|(key, value)| (key.as_str(), format!("{key}={}", value.as_str().unwrap_or_default())))
        .collect();
    for expression in list(selector, "matchExpressions") {
        let key = text(expression, "key");
        let mut values: Vec<&str> = list(expression, "values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match text(expression, "operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        };
        parts.push((key, part));
    }
    if parts.is_empty() {
        return super::cells::NONE.to_owned();
    }
    parts.sort_by_key(|(key, _)| *key);
    let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
    parts.join(",")
}

/// As upstream's JSON writes it: labels before expressions, the parts of an expression in their order.
pub fn json(selector: &Value) -> String {
    let mut parts = Vec::new();
    if get(selector, "matchLabels").is_some_and(|labels| labels.as_object().is_some_and(|map| !map.is_empty())) {
        parts.push(format!("\"matchLabels\":{}", selector["matchLabels"]));
    }
    let expressions: Vec<String> = list(selector, "matchExpressions")
        .iter()
        .map(|expression| {
            let mut text = format!("{{\"key\":{},\"operator\":{}", expression["key"], expression["operator"]);
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

/// Upstream's qualified name, without making a message.
fn is_key(key: &str) -> bool {
    let name = match key.split_once('/') {
        Some((prefix, name)) => {
            let label = |label: &str| {
                !label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            };
            if prefix.len() > 253 || !prefix.split('.').all(label) {
                return false;
            }
            name
        }
        None => key,
    };
    !name.is_empty() && is_value(name)
}

fn is_value(value: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    bytes.len() <= 63 && bytes.iter().all(|b| inner(*b)) && edge(bytes.first()) && edge(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_match_as_upstream() {
        let labels = json!({"a": "1", "b": "2"});
        let labels = labels.as_object().unwrap();
        for (selector, expected) in [
            (json!({}), Ok(true)),
            (json!({"matchLabels": {"a": "1"}}), Ok(true)),
            (json!({"matchLabels": {"a": "2"}}), Ok(false)),
            (json!({"matchExpressions": [{"key": "b", "operator": "In", "values": ["2", "3"]}]}), Ok(true)),
            (json!({"matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["2"]}]}), Ok(true)),
            (json!({"matchExpressions": [{"key": "c", "operator": "DoesNotExist"}]}), Ok(true)),
            (json!({"matchExpressions": [{"key": "c", "operator": "In"}]}), Err(())),
            (json!({"matchExpressions": [{"key": "c", "operator": "Is"}]}), Err(())),
            (json!({"matchLabels": {"a b": "2"}}), Err(())),
        ] {
            assert_eq!(matches(Some(&selector), labels), expected, "{selector}");
        }
        assert_eq!(matches(None, labels), Ok(false));
    }

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
}
