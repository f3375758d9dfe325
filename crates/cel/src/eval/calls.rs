//! Functions and operators, by name and arguments.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Outcome, convert, libraries, numbers, optional, time};
use crate::error::EvalError;
use crate::value::Value;

/// Calls a function; of a method the receiver is the first argument.
pub(super) fn call(function: &str, method: bool, args: &[Value]) -> Outcome {
    if method && let [Value::Host(host), rest @ ..] = args {
        return host.call(function, rest).unwrap_or_else(|| Err(EvalError::no_overload()));
    }
    match (function, args) {
        ("_==_", [a, b]) => Ok(Value::Bool(a == b)),
        ("_!=_", [a, b]) => Ok(Value::Bool(a != b)),
        ("_<_", [a, b]) => ordered(a, b, |o| o == Ordering::Less),
        ("_<=_", [a, b]) => ordered(a, b, |o| o != Ordering::Greater),
        ("_>_", [a, b]) => ordered(a, b, |o| o == Ordering::Greater),
        ("_>=_", [a, b]) => ordered(a, b, |o| o != Ordering::Less),
        ("_+_", [a, b]) => add(a, b),
        ("_-_" | "_*_" | "_/_" | "_%_", [a, b]) => numbers::arithmetic(function, a, b),
        ("-_", [a]) => negated(a),
        ("!_", [Value::Bool(a)]) => Ok(Value::Bool(!a)),
        ("_[_]", [of, at]) if !matches!(of, Value::Optional(_)) => index(of, at)?,
        ("_[_]" | "_[?_]", [of, at]) => Ok(match optional::inside(of) {
            None => Value::Optional(None),
            // A place that isn't there is no value; a place that can't be one is an error.
            Some(of) => optional::of(index(of, at)?.ok()),
        }),
        ("@in", [a, of]) => within(a, of),
        ("size", [of]) => size(of),
        ("contains", [Value::String(a), Value::String(b)]) => Ok(Value::Bool(a.contains(&**b))),
        ("startsWith", [Value::String(a), Value::String(b)]) => Ok(Value::Bool(a.starts_with(&**b))),
        ("endsWith", [Value::String(a), Value::String(b)]) => Ok(Value::Bool(a.ends_with(&**b))),
        ("matches", [Value::String(a), Value::String(b)]) => matches(a, b),
        ("optional.of", [a]) => Ok(Value::Optional(Some(Arc::new(a.clone())))),
        ("optional.none", []) => Ok(Value::Optional(None)),
        ("optional.ofNonZeroValue", [a]) => {
            Ok(Value::Optional((!optional::is_zero(a)).then(|| Arc::new(a.clone()))))
        }
        ("hasValue", [Value::Optional(a)]) => Ok(Value::Bool(a.is_some())),
        ("value", [Value::Optional(a)]) => match a {
            Some(value) => Ok((**value).clone()),
            None => Err(EvalError::new("optional.none() dereference")),
        },
        (
            "bool" | "bytes" | "double" | "dyn" | "int" | "string" | "type" | "uint" | "timestamp"
            | "duration",
            [a],
        ) => convert::to(function, a),
        (name, [of, zone @ ..]) if method && time::is_getter(name) => time::get(name, of, zone.first()),
        _ => libraries::call(function, method, args),
    }
}

fn ordered(a: &Value, b: &Value, holds: impl Fn(Ordering) -> bool) -> Outcome {
    match numbers::compare(a, b) {
        Some(order) => Ok(Value::Bool(holds(order))),
        // A number that is no number has no order with others.
        None if [a, b].into_iter().any(|v| matches!(v, Value::Double(d) if d.is_nan())) => {
            Ok(Value::Bool(false))
        }
        None => Err(EvalError::no_overload()),
    }
}

fn add(a: &Value, b: &Value) -> Outcome {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(Value::String(format!("{a}{b}").into())),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Value::Bytes([&**a, &**b].concat().into())),
        (Value::List(a), Value::List(b)) => Ok(Value::list(a.iter().chain(b.iter()).cloned().collect())),
        _ => numbers::arithmetic("_+_", a, b),
    }
}

fn negated(a: &Value) -> Outcome {
    match a {
        Value::Int(a) => a.checked_neg().map(Value::Int).ok_or_else(|| EvalError::new("integer overflow")),
        Value::Double(a) => Ok(Value::Double(-a)),
        _ => Err(EvalError::no_overload()),
    }
}

/// What is at a place of a list or a map. The inner error says that nothing is there.
fn index(of: &Value, at: &Value) -> Result<Outcome, EvalError> {
    match of {
        Value::Map(map) => {
            let Some(key) = at.key() else {
                return Err(EvalError::new(format!("unsupported key type: {}", at.type_name())));
            };
            Ok(map
                .get(&key)
                .cloned()
                .ok_or_else(|| EvalError::new(format!("no such key: {}", convert::shown(at)))))
        }
        Value::List(items) => {
            let Some(crate::value::Key::Int(place)) = at.key() else {
                return Err(EvalError::new(format!("unsupported index type '{}' in list", at.type_name())));
            };
            let found = usize::try_from(place).ok().and_then(|place| items.get(place)).cloned();
            Ok(found.ok_or_else(|| EvalError::new(format!("index out of bounds: {place}"))))
        }
        Value::Host(host) => match at.as_str().and_then(|name| host.field(name)) {
            Some(found) => Ok(found),
            None => Ok(Err(EvalError::new(format!("no such key: {}", convert::shown(at))))),
        },
        _ => Ok(Err(EvalError::new(format!("no such key: {}", convert::shown(at))))),
    }
}

fn within(a: &Value, of: &Value) -> Outcome {
    match of {
        Value::List(items) => Ok(Value::Bool(items.contains(a))),
        Value::Map(map) => Ok(Value::Bool(a.key().is_some_and(|key| map.contains_key(&key)))),
        Value::Host(host) if let Some(map) = host.entries() => {
            Ok(Value::Bool(a.key().is_some_and(|key| map.contains_key(&key))))
        }
        _ => Err(EvalError::no_overload()),
    }
}

fn size(of: &Value) -> Outcome {
    let size = match of {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        Value::Host(host) => host.entries().ok_or_else(EvalError::no_overload)?.len(),
        _ => return Err(EvalError::no_overload()),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn matches(text: &str, pattern: &str) -> Outcome {
    let pattern =
        regex::Regex::new(pattern).map_err(|e| EvalError::new(format!("error parsing regexp: {e}")))?;
    Ok(Value::Bool(pattern.is_match(text)))
}
