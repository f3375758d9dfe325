//! Conversions between types.
//! Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#type-conversion-functions>

use super::{Outcome, libraries, time};
use crate::error::EvalError;
use crate::value::Value;

/// Whether a name is that of a type.
pub(super) fn is_type(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "bytes"
            | "double"
            | "int"
            | "uint"
            | "string"
            | "null_type"
            | "list"
            | "map"
            | "type"
            | "optional_type"
            | "google.protobuf.Duration"
            | "google.protobuf.Timestamp"
            | "net.IP"
            | "net.CIDR"
            | "kubernetes.Quantity"
            | "kubernetes.URL"
            | "kubernetes.Semver"
    )
}

/// A value as one of another type.
pub(super) fn to(name: &str, value: &Value) -> Outcome {
    match name {
        "dyn" => return Ok(value.clone()),
        "type" => return Ok(Value::Type(value.type_name().into())),
        _ if name == value.type_name() => return Ok(value.clone()),
        _ => {}
    }
    if matches!(value, Value::Library(_)) {
        return libraries::call(name, false, std::slice::from_ref(value));
    }
    let converted = match name {
        "bool" => bool(value),
        "bytes" => value.as_str().map(|text| Value::Bytes(text.as_bytes().into())),
        "double" => double(value).map(Value::Double),
        "int" => return int(value),
        "uint" => return uint(value),
        "string" => return string(value),
        "timestamp" => match value {
            Value::Timestamp(_) => Some(value.clone()),
            Value::Int(seconds) => jiff::Timestamp::from_second(*seconds).ok().map(Value::Timestamp),
            Value::String(text) => time::timestamp(text).map(Value::Timestamp),
            _ => None,
        },
        "duration" => match value {
            Value::Duration(_) => Some(value.clone()),
            Value::Int(nanos) => Some(Value::Duration(jiff::SignedDuration::from_nanos(*nanos))),
            Value::String(text) => time::duration(text).map(Value::Duration),
            _ => None,
        },
        _ => None,
    };
    let target = match name {
        "timestamp" => "google.protobuf.Timestamp",
        "duration" => "google.protobuf.Duration",
        other => other,
    };
    converted.ok_or_else(|| failed(value, target))
}

fn failed(value: &Value, target: &str) -> EvalError {
    EvalError::new(format!("type conversion error from '{}' to '{target}'", value.type_name()))
}

fn bool(value: &Value) -> Option<Value> {
    match value.as_str()? {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(Value::Bool(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(Value::Bool(false)),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss, reason = "as the language defines it")]
fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Uint(value) => Some(*value as f64),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "in range")]
fn int(value: &Value) -> Outcome {
    let overflow = || EvalError::new("integer overflow");
    match value {
        Value::Uint(value) => i64::try_from(*value).map(Value::Int).map_err(|_| overflow()),
        Value::Double(value) if value.abs() < 9_223_372_036_854_775_807.0 => Ok(Value::Int(*value as i64)),
        Value::Double(_) => Err(overflow()),
        Value::Timestamp(timestamp) => Ok(Value::Int(timestamp.as_second())),
        Value::Duration(duration) => {
            i64::try_from(duration.as_nanos()).map(Value::Int).map_err(|_| overflow())
        }
        Value::String(text) => text.parse().map(Value::Int).map_err(|_| failed(value, "int")),
        _ => Err(failed(value, "int")),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
fn uint(value: &Value) -> Outcome {
    let overflow = || EvalError::new("unsigned integer overflow");
    match value {
        Value::Int(value) => u64::try_from(*value).map(Value::Uint).map_err(|_| overflow()),
        Value::Double(value) if *value >= 0.0 && *value < 18_446_744_073_709_551_615.0 => {
            Ok(Value::Uint(*value as u64))
        }
        Value::Double(_) => Err(overflow()),
        Value::String(text) => text.parse().map(Value::Uint).map_err(|_| failed(value, "uint")),
        _ => Err(failed(value, "uint")),
    }
}

fn string(value: &Value) -> Outcome {
    match value {
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(EvalError::new("invalid UTF-8 in bytes, cannot convert to string")),
        },
        Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Duration(_)
        | Value::Timestamp(_) => Ok(shown(value).into()),
        _ => Err(failed(value, "string")),
    }
}

/// A scalar in words.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => double_text(*value),
        Value::String(text) => text.to_string(),
        Value::Duration(duration) => time::duration_text(*duration),
        Value::Timestamp(timestamp) => timestamp.to_string(),
        other => other.type_name().to_owned(),
    }
}

/// As Go's shortest form: an exponent below 1e-4 and from 1e6, unless the digits are needed anyway.
fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if value != 0.0 && !(-4..21).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    value.to_string()
}
