//! Short ways through objects that are values. Absent and `null` are one thing here, as they are to upstream's
//! types: no text is `""`, no number is 0, no list is empty.

use std::sync::LazyLock;

use serde_json::{Map, Value};

static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// The field, unless it is absent or null.
pub fn get<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    match object.get(key) {
        None | Some(Value::Null) => None,
        found => found,
    }
}

/// The value at the end of a row of fields.
pub fn at<'a>(object: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().try_fold(object, |value, key| get(value, key))
}

/// A text; empty where there is none.
pub fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    get(object, key).and_then(Value::as_str).unwrap_or_default()
}

/// A text behind a pointer: absent and empty are two things.
pub fn text_ptr<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    get(object, key).and_then(Value::as_str)
}

/// A number; 0 where there is none.
pub fn int(object: &Value, key: &str) -> i64 {
    int_ptr(object, key).unwrap_or_default()
}

/// A number behind a pointer.
pub fn int_ptr(object: &Value, key: &str) -> Option<i64> {
    get(object, key).and_then(Value::as_i64)
}

/// A boolean; false where there is none.
pub fn flag(object: &Value, key: &str) -> bool {
    flag_ptr(object, key).unwrap_or_default()
}

/// A boolean behind a pointer.
pub fn flag_ptr(object: &Value, key: &str) -> Option<bool> {
    get(object, key).and_then(Value::as_bool)
}

/// A list; empty where there is none.
pub fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    get(object, key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of a list.
pub fn texts<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    list(object, key).iter().map(|value| value.as_str().unwrap_or_default())
}

/// A map; empty where there is none.
pub fn map<'a>(object: &'a Value, key: &str) -> &'a Map<String, Value> {
    get(object, key).and_then(Value::as_object).unwrap_or(&EMPTY)
}

/// A list to change, where there is one.
pub fn list_mut<'a>(object: &'a mut Value, key: &str) -> &'a mut [Value] {
    object.get_mut(key).and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// An object or list to change, where there is one.
pub fn get_mut<'a>(object: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    object.get_mut(key).filter(|value| !value.is_null())
}

/// The object below a field, made where it isn't there (or `object` itself is none).
pub fn ensure<'a>(object: &'a mut Value, key: &str) -> &'a mut Value {
    let child = map_of(object).entry(key).or_insert(Value::Null);
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    child
}

/// The value as an object, made one where it is anything else.
pub fn map_of(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("just made an object")
}

/// Sets a field that is absent or null.
pub fn default(object: &mut Value, key: &str, value: impl Into<Value>) {
    if get(object, key).is_none() {
        map_of(object).insert(key.to_owned(), value.into());
    }
}

/// Sets a text that is absent or empty.
pub fn default_text(object: &mut Value, key: &str, value: &str) {
    if text(object, key).is_empty() {
        map_of(object).insert(key.to_owned(), value.into());
    }
}

/// Sets a number that is absent or 0.
pub fn default_int(object: &mut Value, key: &str, value: i64) {
    if int(object, key) == 0 {
        map_of(object).insert(key.to_owned(), value.into());
    }
}

/// Sets a field.
pub fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    map_of(object).insert(key.to_owned(), value.into());
}

/// Takes a field away.
pub fn remove(object: &mut Value, key: &str) -> Option<Value> {
    object.as_object_mut().and_then(|map| map.remove(key))
}

/// Gives `new` the field of `old`, or takes it away where `old` has none.
pub fn keep(new: &mut Value, old: &Value, key: &str) {
    match old.get(key) {
        Some(value) => set(new, key, value.clone()),
        None => {
            remove(new, key);
        }
    }
}

/// Whether two fields say the same, absent and null and empty being one (`apiequality.Semantic`).
pub fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.iter().all(|(key, value)| same(Some(value), b.get(key)))
                && b.iter().all(|(key, value)| a.contains_key(key) || is_nothing(Some(value)))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (Some(a), Some(b)) if a == b => true,
        (a, b) => is_nothing(a) && is_nothing(b),
    }
}

fn is_nothing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_is_equal_to_nothing() {
        let a = json!({"x": [], "y": {"z": null}, "n": 1});
        let b = json!({"n": 1});
        assert!(!same(Some(&a), Some(&b)), "an object that holds a null is an object");
        let a = json!({"x": [], "y": {}, "n": 1});
        assert!(same(Some(&a), Some(&b)));
        assert!(!same(Some(&json!({"n": 1})), Some(&json!({"n": 2}))));
        assert!(!same(Some(&json!([1])), Some(&json!([1, 2]))));
    }

    #[test]
    fn defaults_fill_what_is_missing() {
        let mut object = json!({"a": "", "b": null, "c": 0});
        default_text(&mut object, "a", "x");
        default(&mut object, "b", 3);
        default(&mut object, "c", 9);
        default_int(ensure(&mut object, "d"), "e", 1);
        assert_eq!(object, json!({"a": "x", "b": 3, "c": 0, "d": {"e": 1}}));
    }
}
