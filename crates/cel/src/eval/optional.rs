//! Optional values.
//! Source: <https://github.com/google/cel-spec/wiki/proposal-246>

use std::sync::Arc;

use crate::error::EvalError;
use crate::value::Value;

/// What an optional holds; another value is itself.
pub(super) fn inside(value: &Value) -> Option<&Value> {
    match value {
        Value::Optional(inside) => inside.as_deref(),
        other => Some(other),
    }
}

/// An optional of what may be there. An optional in an optional is one.
pub(super) fn of(value: Option<Value>) -> Value {
    match value {
        Some(optional @ Value::Optional(_)) => optional,
        other => Value::Optional(other.map(Arc::new)),
    }
}

/// The value of an optional element of a literal.
pub(super) fn unwrapped(value: Value) -> Result<Option<Value>, EvalError> {
    match value {
        Value::Optional(inside) => Ok(inside.map(|value| (*value).clone())),
        other => Err(EvalError::new(format!(
            "cannot initialize optional value from non-optional value {}",
            other.type_name()
        ))),
    }
}

/// Whether a value is the zero of its type.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Optional(None) => true,
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::Uint(value) => *value == 0,
        Value::Double(value) => *value == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Duration(duration) => duration.is_zero(),
        _ => false,
    }
}
