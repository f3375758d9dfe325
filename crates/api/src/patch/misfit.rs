//! What a strategic merge patch made that doesn't fit the type.

use serde_json::Value;

use super::go;
use super::text::{self, Touched};
use crate::field::{FieldErrors, Path};
use crate::form::Form;
use crate::schema::{Shape, TypeId};
use crate::status::Status;

/// 422 for the first value of a patched object that doesn't fit its type, in the words that upstream has for
/// it; none where everything fits.
pub fn misfit(type_id: TypeId, patch: &Value, patched: &Value) -> Option<Status> {
    Some(unfit_strategic(patch, &in_object(type_id, patched)?))
}

/// 422 for what a JSON or merge patch made of an object of a type, with the decoder's words for why it doesn't fit.
pub fn unfit(form: &Form, patch: &Value, patched: &Value, words: &str) -> Status {
    let touched = if patch.is_array() { Touched::by_operations(patch) } else { Touched::by_merge(patch) };
    match form {
        Form::Table(of) => refused(text::text(*of, patched, &touched), words),
        Form::Custom(_) => refused(patched.to_string(), words),
    }
}

/// The same for a strategic merge patch, of which messages show the patch.
pub fn unfit_strategic(patch: &Value, words: &str) -> Status {
    refused(go::show(patch), words)
}

fn refused(shown: String, words: &str) -> Status {
    let mut errors = FieldErrors::new();
    errors.invalid(&Path::new("patch"), &Value::from(shown), words);
    Status::invalid("", "", "", &errors.0)
}

fn in_object(type_id: TypeId, value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Object(map) => map.iter().find_map(|(key, value)| in_shape(&type_id.field(key)?.shape, value)),
        other => Some(format!("cannot restore struct from: {}", go::kind_name(other))),
    }
}

fn in_shape(shape: &Shape, value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let kind = go::kind_name(value);
    let wanted = match shape {
        Shape::Object(type_id) => return in_object(*type_id, value),
        Shape::List(element) => {
            return match value {
                Value::Array(list) => list.iter().find_map(|value| in_shape(element, value)),
                _ => Some(format!("cannot restore slice from {kind}")),
            };
        }
        Shape::Map(element) => {
            return match value {
                Value::Object(map) => map.values().find_map(|value| in_shape(element, value)),
                _ => Some(format!("cannot restore map from {kind}")),
            };
        }
        Shape::String => "string",
        Shape::Int32 => "int32",
        Shape::Int64 => "int64",
        Shape::Bool => "bool",
        Shape::Float => "float64",
        Shape::Bytes if !value.is_string() => return Some(format!("cannot restore slice from {kind}")),
        _ => return None,
    };
    let fits = match shape {
        Shape::String => value.is_string(),
        Shape::Int32 => match value.as_i64() {
            Some(number) if i32::try_from(number).is_err() => return Some("overflow".to_owned()),
            number => number.is_some(),
        },
        Shape::Int64 => value.is_i64(),
        Shape::Bool => value.is_boolean(),
        _ => value.is_number(),
    };
    if fits {
        return None;
    }
    // Go converts between numbers, and numbers to text, but not like this.
    let convertible = value.is_number() && wanted != "bool";
    Some(if convertible {
        format!("cannot convert {kind} to {wanted}")
    } else {
        format!("unrecognized type: {wanted}")
    })
}
