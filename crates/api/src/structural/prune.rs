//! Dropping the fields that a schema doesn't know.

use serde_json::Value;

use super::{Additional, Structural};

/// What every object of a kind has besides its schema.
const OF_OBJECTS: [&str; 3] = ["apiVersion", "kind", "metadata"];

impl Structural {
    /// Drops unknown fields of a whole object; their paths, in order.
    pub fn prune_object(&self, object: &mut Value) -> Vec<String> {
        let mut dropped = Vec::new();
        prune(object, Some(self), true, "", &mut dropped);
        dropped.sort();
        dropped
    }

    /// Drops unknown fields of a value (defaults); their paths.
    pub fn prune_value(&self, value: &mut Value) -> Vec<String> {
        let mut dropped = Vec::new();
        prune(value, Some(self), self.embedded, "", &mut dropped);
        dropped
    }

    /// Drops nulls where null is no value. Defaults take their place.
    pub fn prune_nulls(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|key, value| {
                    !(value.is_null() && self.properties.get(key).is_some_and(|schema| !schema.nullable))
                });
                for (key, value) in map.iter_mut() {
                    if let Some(schema) = self.below(key) {
                        schema.prune_nulls(value);
                    }
                }
            }
            Value::Array(list) => {
                if let Some(items) = &self.items {
                    list.iter_mut().for_each(|value| items.prune_nulls(value));
                }
            }
            _ => {}
        }
    }
}

/// A value that no schema describes keeps no fields, unless a place above keeps what it doesn't know.
fn prune(
    value: &mut Value,
    schema: Option<&Structural>,
    is_object: bool,
    path: &str,
    dropped: &mut Vec<String>,
) {
    match value {
        Value::Object(map) => map.retain(|key, value| {
            if is_object && OF_OBJECTS.contains(&key.as_str()) {
                return true;
            }
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let below = schema.and_then(|schema| schema.below(key));
            let keeps = schema.is_some_and(|schema| {
                below.is_some() || schema.preserve_unknown || matches!(schema.additional, Additional::Any)
            });
            if !keeps {
                dropped.push(inner);
                return false;
            }
            if below.is_some() || !schema.is_some_and(|schema| schema.preserve_unknown) {
                prune(value, below, below.is_some_and(|below| below.embedded), &inner, dropped);
            }
            true
        }),
        Value::Array(list) => {
            let items = schema.and_then(|schema| schema.items.as_deref());
            if items.is_none() && schema.is_some_and(|schema| schema.preserve_unknown) {
                return;
            }
            let embedded = items.is_some_and(|items| items.embedded);
            for (at, value) in list.iter_mut().enumerate() {
                prune(value, items, embedded, &format!("{path}[{at}]"), dropped);
            }
        }
        _ => {}
    }
}
