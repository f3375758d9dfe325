//! From protobuf to values in normal form.

use std::borrow::Cow;

use ::base64::Engine;
use ::base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::wire::{Reader, Wire};
use super::{MAGIC, ProtobufError};
use crate::quantity;
use crate::schema::{self, DEPTH_MAX, Field, Normal, Shape, TypeId, VALUES_MAX, time};

/// An object's envelope, opened.
pub struct Envelope<'a> {
    pub api_version: Cow<'a, str>,
    pub kind: Cow<'a, str>,
    pub raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Opens an envelope.
    pub fn open(bytes: &'a [u8]) -> Result<Envelope<'a>, ProtobufError> {
        let bytes = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::Magic)?;
        let mut out = Envelope { api_version: "".into(), kind: "".into(), raw: &[] };
        let mut unknown = Reader::new(bytes);
        while let Some((number, wire)) = unknown.next()? {
            match (number, wire) {
                (1, Wire::Bytes(bytes)) => {
                    let mut meta = Reader::new(bytes);
                    while let Some((number, wire)) = meta.next()? {
                        match (number, wire) {
                            (1, Wire::Bytes(text)) => out.api_version = String::from_utf8_lossy(text),
                            (2, Wire::Bytes(text)) => out.kind = String::from_utf8_lossy(text),
                            _ => {}
                        }
                    }
                }
                (2, Wire::Bytes(bytes)) => out.raw = bytes,
                _ => {}
            }
        }
        Ok(out)
    }

    /// The type of the envelope's kind.
    pub fn type_id(&self) -> Option<TypeId> {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", &self.api_version));
        schema::type_of(group, version, &self.kind)
    }
}

/// Decodes an object without an envelope, in normal form.
pub fn object(of: TypeId, bytes: &[u8]) -> Result<Value, ProtobufError> {
    let value = Decoder { depth: 0, values: 0 }.object(of, bytes)?;
    // Lists and raw JSON add to the depth of what comes out.
    if is_deeper(&value, DEPTH_MAX) { Err(ProtobufError::TooDeep) } else { Ok(value) }
}

fn is_deeper(value: &Value, depth_max: usize) -> bool {
    match value {
        Value::Array(items) => depth_max == 0 || items.iter().any(|item| is_deeper(item, depth_max - 1)),
        Value::Object(entries) => {
            depth_max == 0 || entries.values().any(|item| is_deeper(item, depth_max - 1))
        }
        _ => false,
    }
}

struct Decoder {
    depth: usize,
    values: usize,
}

impl Decoder {
    fn object(&mut self, of: TypeId, bytes: &[u8]) -> Result<Value, ProtobufError> {
        let mut value = Value::Object(self.message(of, bytes)?);
        Normal { scalars: false, stored: true }.object(of, &mut value);
        Ok(value)
    }

    fn message(&mut self, of: TypeId, bytes: &[u8]) -> Result<Map<String, Value>, ProtobufError> {
        let mut out = Map::new();
        self.deeper(|this| this.fields(of, &[], bytes, &mut out))?;
        Ok(out)
    }

    fn deeper<T>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T, ProtobufError>,
    ) -> Result<T, ProtobufError> {
        if self.depth >= DEPTH_MAX {
            return Err(ProtobufError::TooDeep);
        }
        self.depth += 1;
        let done = body(self);
        self.depth -= 1;
        done
    }

    fn count(&mut self) -> Result<(), ProtobufError> {
        self.values += 1;
        if self.values > VALUES_MAX { Err(ProtobufError::TooMany) } else { Ok(()) }
    }

    /// Reads fields into `out`; `outer` are the numbers of the embedding messages.
    fn fields(
        &mut self,
        of: TypeId,
        outer: &[u8],
        bytes: &[u8],
        out: &mut Map<String, Value>,
    ) -> Result<(), ProtobufError> {
        let level = outer.len();
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            let Ok(number) = u8::try_from(number) else { continue };
            let known = of
                .fields()
                .iter()
                .find(|field| field.tags[level] == number && (level == 0 || field.tags[..level] == *outer));
            let Some(field) = known else { continue };
            if field.tags.get(level + 1).is_some_and(|inner| *inner != 0) {
                let Wire::Bytes(inner) = wire else { return Err(wrong(field)) };
                let path = &field.tags[..=level];
                self.deeper(|this| this.fields(of, path, inner, out))?;
                continue;
            }
            self.field(field, wire, out)?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &Field,
        wire: Wire<'_>,
        out: &mut Map<String, Value>,
    ) -> Result<(), ProtobufError> {
        match (&field.shape, wire) {
            (Shape::List(item), Wire::Bytes(bytes)) if field.wrapped => {
                let items = self.wrapped(field, item, bytes)?;
                out.insert(field.name.to_owned(), items);
            }
            (Shape::List(item), wire) => {
                let known = out.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                let Value::Array(items) = known else { return Ok(()) };
                match (item, wire) {
                    (Shape::Int32 | Shape::Int64 | Shape::Bool, Wire::Bytes(packed)) => {
                        let mut packed = Reader::new(packed);
                        while let Some(varint) = packed.packed()? {
                            self.count()?;
                            items.push(self.value(field, item, Wire::Varint(varint))?);
                        }
                    }
                    (item, wire) => {
                        self.count()?;
                        items.push(self.value(field, item, wire)?);
                    }
                }
            }
            (Shape::Map(shape), Wire::Bytes(entry)) => {
                self.count()?;
                let (key, value) = self.entry(field, shape, entry)?;
                let known = out.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(entries) = known {
                    entries.insert(key, value);
                }
            }
            (shape, wire) => {
                let value = self.value(field, shape, wire)?;
                match (out.get_mut(field.name), value) {
                    // A message that is given in two pieces.
                    (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
                    (_, value) => {
                        out.insert(field.name.to_owned(), value);
                    }
                }
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        field: &Field,
        shape: &Shape,
        bytes: &[u8],
    ) -> Result<(String, Value), ProtobufError> {
        let (mut key, mut value) = (String::new(), Value::Null);
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match (number, wire, shape) {
                (1, Wire::Bytes(text), _) => key = String::from_utf8_lossy(text).into_owned(),
                (2, Wire::Bytes(bytes), Shape::List(item)) => value = self.wrapped(field, item, bytes)?,
                (2, wire, shape) => value = self.value(field, shape, wire)?,
                _ => {}
            }
        }
        Ok((key, value))
    }

    /// A list that is a message of its own.
    fn wrapped(&mut self, field: &Field, item: &Shape, bytes: &[u8]) -> Result<Value, ProtobufError> {
        let mut items = Vec::new();
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            if number == 1 {
                self.count()?;
                items.push(self.value(field, item, wire)?);
            }
        }
        Ok(Value::Array(items))
    }

    fn value(&mut self, field: &Field, shape: &Shape, wire: Wire<'_>) -> Result<Value, ProtobufError> {
        Ok(match (shape, wire) {
            (Shape::Int32, Wire::Varint(varint)) => (varint as i32).into(),
            (Shape::Int64, Wire::Varint(varint)) => (varint as i64).into(),
            (Shape::Bool, Wire::Varint(varint)) => (varint != 0).into(),
            (Shape::Float, Wire::Fixed64(bits)) => Number::from_f64(f64::from_bits(bits))
                .map(|number| Value::Number(schema::shortest(number)))
                .ok_or_else(|| wrong(field))?,
            (Shape::String, Wire::Bytes(text)) => String::from_utf8_lossy(text).into(),
            (Shape::Bytes, Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
            (Shape::Object(of), Wire::Bytes(bytes)) => Value::Object(self.message(*of, bytes)?),
            (Shape::Time, Wire::Bytes(bytes)) => match seconds(bytes)? {
                Some((seconds, _)) => time::format_time(seconds).into(),
                None => Value::Null,
            },
            (Shape::MicroTime, Wire::Bytes(bytes)) => match seconds(bytes)? {
                Some((seconds, nanos)) => time::format_micro(seconds, nanos).into(),
                None => Value::Null,
            },
            (Shape::Quantity, Wire::Bytes(bytes)) => {
                let text = first_text(bytes)?;
                let text = if text.is_empty() { "0".into() } else { text };
                quantity::canonical(&text).map_err(|fault| ProtobufError::Content(fault.to_string()))?.into()
            }
            (Shape::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
            (Shape::Raw, Wire::Bytes(bytes)) => self.raw(first_bytes(bytes)?)?,
            (Shape::Json | Shape::Fields, Wire::Bytes(bytes)) => json(first_bytes(bytes)?)?,
            (Shape::SchemaOrBool | Shape::SchemaOrArray | Shape::SchemaOrStrings, Wire::Bytes(bytes)) => {
                self.deeper(|this| this.schema_or(field, shape, bytes))?
            }
            _ => return Err(wrong(field)),
        })
    }

    /// What `RawExtension` holds: JSON, or an object in an envelope of its own.
    fn raw(&mut self, bytes: &[u8]) -> Result<Value, ProtobufError> {
        if !bytes.starts_with(MAGIC) {
            return json(bytes);
        }
        let envelope = Envelope::open(bytes)?;
        let of = envelope.type_id().ok_or_else(|| ProtobufError::Kind {
            api_version: envelope.api_version.to_string(),
            kind: envelope.kind.to_string(),
        })?;
        let mut value = self.deeper(|this| this.object(of, envelope.raw))?;
        name(&mut value, &envelope.api_version, &envelope.kind);
        Ok(value)
    }

    fn schema_or(&mut self, field: &Field, shape: &Shape, bytes: &[u8]) -> Result<Value, ProtobufError> {
        let Some(of) = schema::schema_props() else { return Err(wrong(field)) };
        let (mut allows, mut schema, mut items) = (false, None, Vec::new());
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match (shape, number, wire) {
                (Shape::SchemaOrBool, 1, Wire::Varint(varint)) => allows = varint != 0,
                (Shape::SchemaOrBool, 2, Wire::Bytes(bytes))
                | (Shape::SchemaOrArray | Shape::SchemaOrStrings, 1, Wire::Bytes(bytes)) => {
                    schema = Some(Value::Object(self.message(of, bytes)?));
                }
                (Shape::SchemaOrArray, 2, Wire::Bytes(bytes)) => {
                    self.count()?;
                    items.push(Value::Object(self.message(of, bytes)?));
                }
                (Shape::SchemaOrStrings, 2, Wire::Bytes(text)) => {
                    self.count()?;
                    items.push(String::from_utf8_lossy(text).into());
                }
                _ => {}
            }
        }
        Ok(match (schema, shape) {
            (Some(schema), _) => schema,
            (None, Shape::SchemaOrBool) => allows.into(),
            (None, _) if items.is_empty() => Value::Null,
            (None, _) => Value::Array(items),
        })
    }
}

/// Puts apiVersion and kind into an object.
pub fn name(value: &mut Value, api_version: &str, kind: &str) {
    if let Value::Object(object) = value {
        object.insert("apiVersion".into(), api_version.into());
        object.insert("kind".into(), kind.into());
    }
}

fn wrong(field: &Field) -> ProtobufError {
    ProtobufError::Content(format!("proto: wrong wireType for field {}", field.name))
}

/// Seconds and nanoseconds; none for the zero time, which is an empty message.
fn seconds(bytes: &[u8]) -> Result<Option<(i64, i32)>, ProtobufError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut out = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Varint(seconds)) => out.0 = seconds as i64,
            (2, Wire::Varint(nanos)) => out.1 = nanos as i32,
            _ => {}
        }
    }
    if time::is_representable(out.0) && (0..1_000_000_000).contains(&out.1) {
        return Ok(Some(out));
    }
    Err(ProtobufError::Content("Timestamp: seconds out of range".into()))
}

fn first_bytes(bytes: &[u8]) -> Result<&[u8], ProtobufError> {
    let mut out: &[u8] = &[];
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if let (1, Wire::Bytes(bytes)) = (number, wire) {
            out = bytes;
        }
    }
    Ok(out)
}

fn first_text(bytes: &[u8]) -> Result<Cow<'_, str>, ProtobufError> {
    first_bytes(bytes).map(String::from_utf8_lossy)
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_string, mut int, mut text) = (false, 0, Cow::Borrowed(""));
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Varint(varint)) => is_string = varint != 0,
            (2, Wire::Varint(varint)) => int = varint as i32,
            (3, Wire::Bytes(bytes)) => text = String::from_utf8_lossy(bytes),
            _ => {}
        }
    }
    Ok(if is_string { text.into() } else { int.into() })
}

fn json(bytes: &[u8]) -> Result<Value, ProtobufError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    schema::read_json(bytes).map_err(ProtobufError::Content)
}
