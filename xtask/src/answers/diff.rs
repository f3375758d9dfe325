//! Compares an answer with the recorded one and words the differences.

use serde_json::{Map, Value};

use super::compare::{Bindings, has_placeholder};
use super::scenario::Step;
use super::template::{each_at, split_path, unset_at};

/// An answer of the server under test: status, headers (lower case; `warning` is a list) and body.
pub struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    pub warnings: Vec<String>,
    pub retry_after: Option<String>,
    pub body: Value,
}

/// The differences, a line each.
pub fn differences(
    step: &Step,
    expected: &Answer,
    answer: &Answer,
    managed_fields: bool,
    bindings: &mut Bindings,
) -> Vec<String> {
    let mut found = Vec::new();
    if expected.status != answer.status {
        found.push(format!("status: expected {}, got {}", expected.status, answer.status));
    }
    if expected.content_type != answer.content_type {
        found.push(format!(
            "content-type: expected {:?}, got {:?}",
            expected.content_type, answer.content_type
        ));
    }
    compare_warnings(&expected.warnings, &answer.warnings, bindings, &mut found);
    if expected.retry_after != answer.retry_after {
        found.push(format!("retry-after: expected {:?}, got {:?}", expected.retry_after, answer.retry_after));
    }
    let (mut wanted, mut actual) = (expected.body.clone(), answer.body.clone());
    for body in [&mut wanted, &mut actual] {
        prepare(body, step, managed_fields);
    }
    if step.ignore.iter().any(|path| path == "body")
        || (step.response.body.is_null() && step.ignore.is_empty())
    {
        return found;
    }
    // A watch without events: the list of them is empty, as the stream is.
    if wanted == Value::Array(Vec::new()) && actual.is_null() {
        return found;
    }
    compare("", &wanted, &actual, bindings, &mut found);
    found
}

fn compare_warnings(
    expected: &[String],
    actual: &[String],
    bindings: &mut Bindings,
    found: &mut Vec<String>,
) {
    let same = expected.len() == actual.len()
        && expected.iter().zip(actual).all(|(expected, actual)| bindings.matches(expected, actual).is_ok());
    if !same {
        found.push(format!("warnings: expected {expected:?}, got {actual:?}"));
    }
}

fn prepare(body: &mut Value, step: &Step, managed_fields: bool) {
    for path in &step.ignore {
        if let Some(path) = path.strip_prefix("body") {
            unset_at(body, &split_path(path));
        }
    }
    for path in &step.unordered {
        if let Some(path) = path.strip_prefix("body") {
            each_at(body, &split_path(path), &mut |value| {
                if let Value::Array(items) = value {
                    items.sort_by_cached_key(ToString::to_string);
                }
            });
        }
    }
    walk(body, managed_fields);
}

/// Drops what is never compared and sorts managed fields.
fn walk(value: &mut Value, managed_fields: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, managed_fields)),
        Value::Object(map) => {
            if managed_fields {
                sort_managed(map);
            } else {
                map.remove("managedFields");
            }
            if let Some(Value::Array(columns)) = map.get_mut("columnDefinitions") {
                columns.iter_mut().filter_map(Value::as_object_mut).for_each(|column| {
                    column.remove("description");
                });
            }
            if map.contains_key("gitVersion") {
                for key in [
                    "gitVersion",
                    "gitCommit",
                    "gitTreeState",
                    "buildDate",
                    "goVersion",
                    "compiler",
                    "platform",
                ] {
                    map.remove(key);
                }
            }
            map.values_mut().for_each(|item| walk(item, managed_fields));
        }
        _ => {}
    }
}

fn sort_managed(map: &mut Map<String, Value>) {
    if let Some(Value::Array(entries)) = map.get_mut("managedFields") {
        entries.sort_by_cached_key(|entry| {
            ["manager", "operation", "subresource", "apiVersion"]
                .map(|key| entry[key].as_str().unwrap_or_default().to_owned())
        });
    }
}

fn compare(path: &str, expected: &Value, actual: &Value, bindings: &mut Bindings, found: &mut Vec<String>) {
    let at = if path.is_empty() { "body" } else { path };
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            compare_maps(path, expected, actual, bindings, found)
        }
        (Value::Array(expected), Value::Array(actual)) => {
            if expected.len() != actual.len() {
                found.push(format!(
                    "{at}: expected {} elements, got {}: {}",
                    expected.len(),
                    actual.len(),
                    short(&Value::Array(actual.clone()))
                ));
            }
            for (i, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                compare(&format!("{path}[{i}]"), expected, actual, bindings, found);
            }
        }
        (Value::String(expected), Value::String(actual)) => {
            let expected = if is_first_age(path, expected) { "<age>" } else { expected.as_str() };
            if let Err(message) = bindings.matches(expected, actual) {
                found.push(format!("{at}: {message}"));
            }
        }
        (Value::String(expected), Value::Number(actual)) if expected.starts_with("<nodePort:") => {
            if let Err(message) = bindings.matches(expected, &actual.to_string()) {
                found.push(format!("{at}: {message}"));
            }
        }
        _ if expected == actual => {}
        _ => found.push(format!("{at}: expected {}, got {}", short(expected), short(actual))),
    }
}

/// Whether a table cell is an age that was recorded as it is, for want of a column that says so: what was made
/// within the second. Here the second may have passed.
fn is_first_age(path: &str, cell: &str) -> bool {
    cell == "0s" && path.rsplit_once('[').is_some_and(|(list, _)| list.ends_with(".cells"))
}

fn compare_maps(
    path: &str,
    expected: &Map<String, Value>,
    actual: &Map<String, Value>,
    bindings: &mut Bindings,
    found: &mut Vec<String>,
) {
    let mut met = Vec::new();
    for (key, value) in expected {
        let inner = format!("{path}.{key}");
        let twin = if has_placeholder(key) && !actual.contains_key(key) {
            let free = |(name, _): &(&String, &Value)| !expected.contains_key(*name) && !met.contains(*name);
            actual.iter().filter(free).find(|(name, _)| bindings.matches(key, name).is_ok())
        } else {
            actual.get_key_value(key)
        };
        match twin {
            Some((name, twin)) => {
                met.push(name.clone());
                compare(&inner, value, twin, bindings, found);
            }
            None => found.push(format!("{inner}: missing, expected {}", short(value))),
        }
    }
    for (key, value) in actual.iter().filter(|(key, _)| !met.contains(key)) {
        found.push(format!("{path}.{key}: not expected: {}", short(value)));
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= 400 {
        return text;
    }
    let end = (0..=400).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ages_that_were_recorded_as_they_are_may_have_grown() {
        let found = |expected: Value, actual: Value| {
            let mut found = Vec::new();
            compare("", &expected, &actual, &mut Bindings::default(), &mut found);
            found
        };
        let row = |cell: &str| json!({"rows": [{"cells": ["10.0.0.1", cell]}]});
        assert!(found(row("0s"), row("0s")).is_empty());
        assert!(found(row("0s"), row("1s")).is_empty());
        assert!(!found(row("0s"), row("<none>")).is_empty());
        assert!(!found(row("3s"), row("4s")).is_empty());
        assert!(!found(json!({"wait": "0s"}), json!({"wait": "1s"})).is_empty());
    }
}
