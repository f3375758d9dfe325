//! Cells that tables of several kinds have.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::walk::{at, list, text};
use crate::kind::{Column, human_duration};

/// Upstream's word for nothing.
pub const NONE: &str = "<none>";

/// The first column of every table.
pub const NAME: Column =
    Column { name: "Name", kind: "string", format: "name", description: "Name of the object.", priority: 0 };
/// How old the object is.
pub const AGE: Column = Column {
    name: "Age",
    kind: "string",
    format: "",
    description: "Time since the object was made.",
    priority: 0,
};
/// Names of the containers of a template.
pub const CONTAINERS: Column = wide("Containers", "string", "Names of the containers in the template.");
/// Images of the containers of a template.
pub const IMAGES: Column = wide("Images", "string", "Images of the containers in the template.");
/// The label selector.
pub const SELECTOR: Column = wide("Selector", "string", "Selector of the pods.");

/// A column of the normal view.
pub const fn column(name: &'static str, kind: &'static str, description: &'static str) -> Column {
    Column { name, kind, format: "", description, priority: 0 }
}

/// A column of `-o wide`.
pub const fn wide(name: &'static str, kind: &'static str, description: &'static str) -> Column {
    Column { name, kind, format: "", description, priority: 1 }
}

/// `metadata.name`.
pub fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

/// The time since `metadata.creationTimestamp`.
pub fn age(object: &Value, now: Timestamp) -> Value {
    crate::kind::age(&object["metadata"]["creationTimestamp"], now)
}

/// A time of an object.
pub fn time(value: Option<&Value>) -> Option<Timestamp> {
    value.and_then(Value::as_str).and_then(|text| text.parse().ok())
}

/// The time between two moments, as people say it.
pub fn span(from: Timestamp, to: Timestamp) -> String {
    human_duration(to.as_second() - from.as_second())
}

/// Names of containers and their images, each joined by commas.
pub fn containers(spec: Option<&Value>) -> [Value; 2] {
    let joined = |key: &str| -> Value {
        let words: Vec<&str> = spec
            .map_or(&[][..], |spec| list(spec, "containers"))
            .iter()
            .map(|each| text(each, key))
            .collect();
        words.join(",").into()
    };
    [joined("name"), joined("image")]
}

/// Labels as `a=b,c=d`, or [`NONE`].
pub fn labels(labels: Option<&Map<String, Value>>) -> Value {
    match labels {
        Some(labels) if !labels.is_empty() => {
            let parts: Vec<String> = labels
                .iter()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            parts.join(",").into()
        }
        _ => NONE.into(),
    }
}

/// The owner that controls the object, as `statefulset.apps/web`, or [`NONE`].
pub fn controller(object: &Value) -> Value {
    let owners = at(object, &["metadata", "ownerReferences"]).and_then(Value::as_array);
    let owner = owners.and_then(|owners| owners.iter().find(|owner| owner["controller"] == true));
    let Some(owner) = owner else { return NONE.into() };
    let kind = text(owner, "kind").to_lowercase();
    let group = text(owner, "apiVersion").split_once('/').map_or("", |(group, _)| group);
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{}", text(owner, "name")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn owners_are_named_with_their_group() {
        let object = json!({"metadata": {"ownerReferences": [
            {"kind": "StatefulSet", "apiVersion": "apps/v1", "name": "web", "controller": true}]}});
        assert_eq!(controller(&object), "statefulset.apps/web");
        assert_eq!(controller(&json!({"metadata": {}})), NONE);
        assert_eq!(labels(json!({"a": "b", "c": "d"}).as_object()), "a=b,c=d");
    }
}
