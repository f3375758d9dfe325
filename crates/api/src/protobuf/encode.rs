//! From values in normal form to protobuf.

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::wire::{put_bytes, put_fixed64, put_integer, put_message, put_varint};
use crate::schema::{self, Field, Shape, TypeId, time};

/// Writes the fields of an object.
pub fn object(out: &mut Vec<u8>, of: TypeId, value: &Value) {
    if let Value::Object(values) = value {
        fields(out, of, &[], values);
    }
}

/// Writes the fields whose numbers start with those of the embedding messages.
fn fields(out: &mut Vec<u8>, of: TypeId, outer: &[u8], values: &Map<String, Value>) {
    let level = outer.len();
    let mut embedded = 0u64;
    for (name, value) in values {
        let Some(field) = of.field(name) else { continue };
        let number = field.tags[level];
        if number == 0 || (level > 0 && field.tags[..level] != *outer) {
            continue;
        }
        if field.tags.get(level + 1).is_none_or(|inner| *inner == 0) {
            self::field(out, field, number, value);
            continue;
        }
        // Numbers of embedded messages are small.
        let bit = 1u64.checked_shl(u32::from(number)).unwrap_or(0);
        if embedded & bit == 0 {
            embedded |= bit;
            put_message(out, number, |out| fields(out, of, &field.tags[..=level], values));
        }
    }
}

fn field(out: &mut Vec<u8>, field: &Field, number: u8, value: &Value) {
    match (&field.shape, value) {
        (_, Value::Null) => {}
        (Shape::List(item), Value::Array(items)) if field.wrapped => wrapped(out, number, item, items),
        (Shape::List(item), Value::Array(items)) => {
            for item_value in items {
                self::value(out, number, item, item_value);
            }
        }
        (Shape::Map(shape), Value::Object(entries)) => {
            for (key, entry) in entries {
                put_message(out, number, |out| {
                    put_bytes(out, 1, key.as_bytes());
                    match (&**shape, entry) {
                        (Shape::List(item), Value::Array(items)) => wrapped(out, 2, item, items),
                        (shape, entry) => self::value(out, 2, shape, entry),
                    }
                });
            }
        }
        (Shape::String, Value::String(text)) if text.is_empty() && !field.pointer => {}
        (shape, value) => self::value(out, number, shape, value),
    }
}

/// A list that is a message of its own.
fn wrapped(out: &mut Vec<u8>, number: u8, item: &Shape, items: &[Value]) {
    put_message(out, number, |out| {
        for item_value in items {
            value(out, 1, item, item_value);
        }
    });
}

fn value(out: &mut Vec<u8>, number: u8, shape: &Shape, value: &Value) {
    match (shape, value) {
        (Shape::Int32 | Shape::Int64, Value::Number(int)) => {
            // Negative numbers are sign-extended to 64 bits.
            put_integer(out, number, int.as_i64().unwrap_or_default() as u64);
        }
        (Shape::Bool, Value::Bool(bool)) => put_integer(out, number, u64::from(*bool)),
        (Shape::Float, Value::Number(float)) => {
            put_fixed64(out, number, float.as_f64().unwrap_or_default().to_bits());
        }
        (Shape::String, Value::String(text)) => put_bytes(out, number, text.as_bytes()),
        (Shape::Bytes, Value::String(text)) => {
            put_bytes(out, number, &STANDARD.decode(text).unwrap_or_default());
        }
        (Shape::Object(of), Value::Object(values)) => {
            put_message(out, number, |out| fields(out, *of, &[], values));
        }
        (Shape::Time | Shape::MicroTime, Value::String(text)) => put_message(out, number, |out| {
            if let Some((seconds, nanos)) = time::parts(text) {
                put_integer(out, 1, seconds as u64);
                put_integer(out, 2, nanos as u64);
            }
        }),
        (Shape::Quantity, Value::String(text)) => {
            put_message(out, number, |out| put_bytes(out, 1, text.as_bytes()));
        }
        (Shape::IntOrString, Value::Number(int)) => put_message(out, number, |out| {
            put_integer(out, 1, 0);
            put_integer(out, 2, int.as_i64().unwrap_or_default() as u64);
        }),
        (Shape::IntOrString, Value::String(text)) => put_message(out, number, |out| {
            put_integer(out, 1, 1);
            put_bytes(out, 3, text.as_bytes());
        }),
        (Shape::Raw | Shape::Json | Shape::Fields, value) => put_message(out, number, |out| {
            if !value.is_null() {
                put_bytes(out, 1, value.to_string().as_bytes());
            }
        }),
        (Shape::SchemaOrBool | Shape::SchemaOrArray | Shape::SchemaOrStrings, value) => {
            put_message(out, number, |out| schema_or(out, shape, value));
        }
        // Absent, or not of the shape: values come in normal form.
        _ => {}
    }
}

fn schema_or(out: &mut Vec<u8>, shape: &Shape, value: &Value) {
    let Some(of) = schema::schema_props() else { return };
    match (shape, value) {
        (Shape::SchemaOrBool, Value::Bool(bool)) => put_integer(out, 1, u64::from(*bool)),
        (Shape::SchemaOrBool, Value::Object(values)) => {
            put_integer(out, 1, 1);
            put_message(out, 2, |out| fields(out, of, &[], values));
        }
        (_, Value::Object(values)) => put_message(out, 1, |out| fields(out, of, &[], values)),
        (_, Value::Array(items)) => {
            let item = if *shape == Shape::SchemaOrArray { Shape::Object(of) } else { Shape::String };
            for item_value in items {
                self::value(out, 2, &item, item_value);
            }
        }
        _ => {}
    }
}

/// Writes an envelope around what `body` writes.
pub fn envelope(out: &mut Vec<u8>, api_version: &str, kind: &str, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(super::MAGIC);
    put_message(out, 1, |out| {
        put_bytes(out, 1, api_version.as_bytes());
        put_bytes(out, 2, kind.as_bytes());
    });
    put_message(out, 2, body);
    put_bytes(out, 3, b"");
    put_bytes(out, 4, b"");
}

/// Writes a list: its metadata, and items that are encoded already.
pub fn list<'a>(out: &mut Vec<u8>, of: TypeId, metadata: &Value, items: impl Iterator<Item = &'a [u8]>) {
    for (name, number) in [("metadata", 1), ("items", 2)] {
        debug_assert_eq!(of.field(name).map(|field| field.tags[0]), Some(number), "every list has these");
    }
    if let Some(Shape::Object(meta)) = of.field("metadata").map(|field| field.shape) {
        put_message(out, 1, |out| object(out, meta, metadata));
    }
    for item in items {
        put_bytes(out, 2, item);
    }
}

/// Writes an event of a watch, after its length in four bytes.
pub fn watch_frame(kind: &str, envelope: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4];
    put_bytes(&mut out, 1, kind.as_bytes());
    put_message(&mut out, 2, |out| {
        put_varint(out, 1 << 3 | 2);
        put_varint(out, envelope.len() as u64);
        out.extend_from_slice(envelope);
    });
    let length = u32::try_from(out.len() - 4).unwrap_or(u32::MAX);
    out[..4].copy_from_slice(&length.to_be_bytes());
    out
}
