//! Elements that stand twice in a list whose elements are told apart.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Failure, ListKind, Structural};
use crate::field::{FieldErrorKind, show};

impl Structural {
    /// Elements of sets and maps that stand twice, anywhere in a value.
    pub fn repeated_elements(&self, value: &Value) -> Vec<Failure> {
        let mut failures = Vec::new();
        repeated(self, value, "", &mut failures);
        failures
    }
}

fn repeated(schema: &Structural, value: &Value, path: &str, failures: &mut Vec<Failure>) {
    let field = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(below) = schema.below(key) {
                    repeated(below, value, &field(key), failures);
                }
            }
        }
        Value::Array(list) => {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for (at, value) in list.iter().enumerate() {
                let place = format!("{path}[{at}]");
                let identity = match &schema.list {
                    ListKind::Atomic => None,
                    ListKind::Set => Some(value.clone()),
                    ListKind::Map(keys) => Some(Value::Object(keys_of(schema, keys, value))),
                };
                if let Some(identity) = identity {
                    let times = seen.entry(identity.to_string()).or_insert(0);
                    *times += 1;
                    if *times == 2 {
                        failures.push(Failure::at(
                            &place,
                            FieldErrorKind::Duplicate,
                            Some(show(&identity)),
                            "",
                        ));
                    }
                }
                if let Some(items) = &schema.items {
                    repeated(items, value, &place, failures);
                }
            }
        }
        _ => {}
    }
}

/// The keys of an element of a map, with their defaults.
fn keys_of(schema: &Structural, keys: &[String], value: &Value) -> Map<String, Value> {
    let default = |key: &str| schema.items.as_ref()?.properties.get(key)?.default.clone();
    keys.iter()
        .filter_map(|key| {
            let value = value.get(key).cloned().or_else(|| default(key))?;
            Some((key.clone(), value))
        })
        .collect()
}
