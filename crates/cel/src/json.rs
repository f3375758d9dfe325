//! Between JSON and values. What a JSON value means depends on its type: `1` of a `number` is a double.
//! Source: <https://kubernetes.io/docs/reference/using-api/cel/#type-integration>

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use serde_json::{Map, Value as Json};

use crate::eval::time;
use crate::types::Type;
use crate::value::{Key, Value};

impl Value {
    /// A value of JSON of a type. What doesn't fit its type is taken as if the type were not known.
    #[must_use]
    pub fn from_json(json: &Json, of: &Type) -> Value {
        match (json, of) {
            (Json::Number(number), Type::Double) => Value::Double(number.as_f64().unwrap_or_default()),
            (Json::String(text), Type::Timestamp) => {
                time::timestamp(text).map_or_else(|| text.as_str().into(), Value::Timestamp)
            }
            (Json::String(text), Type::Duration) => {
                time::duration(text).map_or_else(|| text.as_str().into(), Value::Duration)
            }
            (Json::String(text), Type::Bytes) => match base64::prelude::BASE64_STANDARD.decode(text) {
                Ok(bytes) => Value::Bytes(bytes.into()),
                Err(_) => text.as_str().into(),
            },
            (Json::Array(items), Type::List(of)) => {
                Value::list(items.iter().map(|item| Value::from_json(item, of)).collect())
            }
            (Json::Object(fields), Type::Map(_, of)) => entries(fields, |_| Some(of)),
            (Json::Object(fields), Type::Object(object)) => {
                let known = object.fields.iter().filter_map(|(name, field)| {
                    let value = fields.get(&field.json)?;
                    // A null where the schema has a type is the same as no field.
                    (!value.is_null() || field.of.is_dyn())
                        .then(|| (Key::String(name.as_str().into()), Value::from_json(value, &field.of)))
                });
                Value::Map(Arc::new(known.collect()))
            }
            _ => untyped(json),
        }
    }

    /// The value as JSON. None where it holds something JSON has no form for (a type, a quantity).
    #[must_use]
    pub fn to_json(&self) -> Option<Json> {
        Some(match self {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Uint(value) => Json::from(*value),
            Value::Double(value) => serde_json::Number::from_f64(*value).map(Json::Number)?,
            Value::String(text) => Json::from(&**text),
            Value::Bytes(bytes) => Json::from(base64::prelude::BASE64_STANDARD.encode(bytes)),
            Value::List(items) => Json::Array(items.iter().map(Value::to_json).collect::<Option<_>>()?),
            Value::Map(map) => {
                let entries = map.iter().map(|(key, value)| Some((key_text(key), value.to_json()?)));
                Json::Object(entries.collect::<Option<Map<_, _>>>()?)
            }
            Value::Duration(duration) => Json::from(time::duration_text(*duration)),
            Value::Timestamp(timestamp) => Json::from(timestamp.to_string()),
            Value::Optional(Some(value)) => value.to_json()?,
            Value::Optional(None) => Json::Null,
            Value::Type(_) | Value::Library(_) | Value::Host(_) => return None,
        })
    }
}

fn key_text(key: &Key) -> String {
    match key {
        Key::Bool(value) => value.to_string(),
        Key::Int(value) => value.to_string(),
        Key::Uint(value) => value.to_string(),
        Key::String(text) => text.to_string(),
    }
}

fn untyped(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Double(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::list(items.iter().map(untyped).collect()),
        Json::Object(fields) => entries(fields, |_| None),
    }
}

fn entries<'a>(fields: &Map<String, Json>, of: impl Fn(&str) -> Option<&'a Arc<Type>>) -> Value {
    let map: BTreeMap<Key, Value> = fields
        .iter()
        .map(|(name, value)| {
            let value = of(name).map_or_else(|| untyped(value), |of| Value::from_json(value, of));
            (Key::String(name.as_str().into()), value)
        })
        .collect();
    Value::Map(Arc::new(map))
}
