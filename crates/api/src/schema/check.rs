//! Reads a value of a type out of a source: wrong forms, unknown and repeated fields are found on the way.

use serde_json::{Map, Number, Value};

use super::field::Shape;
use super::go::{self, Place};
use super::source::{Source, Token, VALUES_MAX};
use super::types::TypeId;
use super::{base64, time};
use crate::quantity;

/// Upstream reports so many unknown or repeated fields, and no more.
const STRICT_ERRORS_MAX: usize = 100;

/// What was read, and what was found.
pub struct Checker<S> {
    pub source: S,
    /// Whether unknown and repeated fields are looked for.
    pub strict: bool,
    /// The first value of a wrong form. Reading goes on, since malformed JSON is worse.
    pub fault: Option<String>,
    /// Unknown and repeated fields, in order.
    pub strict_errors: Vec<String>,
    /// List elements and map entries so far.
    values: usize,
}

impl<S: Source> Checker<S> {
    pub fn new(source: S, strict: bool) -> Checker<S> {
        Checker { source, strict, fault: None, strict_errors: Vec::new(), values: 0 }
    }

    fn count(&mut self) -> Result<(), String> {
        self.values += 1;
        if self.values > VALUES_MAX { Err("exceeded max number of values".into()) } else { Ok(()) }
    }

    fn fail(&mut self, fault: impl FnOnce() -> String) -> Value {
        self.fault.get_or_insert_with(fault);
        Value::Null
    }

    fn strict_error(&mut self, what: &str, place: &Place<'_>, name: &str) {
        if self.strict && self.strict_errors.len() < STRICT_ERRORS_MAX {
            let error = format!("{what} field {:?}", place.key(name).path());
            if !self.strict_errors.contains(&error) {
                self.strict_errors.push(error);
            }
        }
    }

    /// Reads a value of a shape. `go` is Go's name of its type, where it isn't what the shape says.
    ///
    /// # Errors
    /// Only for malformed JSON.
    pub fn value(&mut self, shape: &Shape, go: &str, place: &Place<'_>) -> Result<Value, String> {
        let token = self.source.next_value()?;
        self.value_from(token, shape, go, place)
    }

    fn value_from(
        &mut self,
        token: Token,
        shape: &Shape,
        go: &str,
        place: &Place<'_>,
    ) -> Result<Value, String> {
        Ok(match (shape, token) {
            (_, Token::Null) => Value::Null,
            (Shape::Object(of), Token::Object) => Value::Object(self.fields(*of, place)?),
            (Shape::String, Token::String(text)) => text.into(),
            (Shape::List(item), Token::Array) => self.items(item, go::element(go), place)?,
            (Shape::Map(value), Token::Object) => self.entries(value, go::element(go), place)?,
            (Shape::Int32 | Shape::Int64, Token::Number(number)) => self.integer(shape, &number, go, place),
            (Shape::Bool, Token::Bool(bool)) => bool.into(),
            (Shape::Float, Token::Number(number)) => Value::Number(shortest(number)),
            (Shape::Bytes, Token::String(text)) => match base64::canonical(&text) {
                Ok(text) => text.into(),
                Err(fault) => self.fail(|| fault),
            },
            (Shape::Json | Shape::Raw | Shape::Fields, token) => self.source.rest(token)?,
            (Shape::Time, Token::String(text)) => self.parsed(time::time(&text)),
            (Shape::MicroTime, Token::String(text)) => self.parsed(time::micro_time(&text)),
            (Shape::Time | Shape::MicroTime, token) => self.mismatch(token, "string", place)?,
            (Shape::Quantity, token) => self.quantity(token)?,
            (Shape::IntOrString, token) => self.int_or_string(token, place)?,
            (Shape::SchemaOrBool | Shape::SchemaOrArray | Shape::SchemaOrStrings, token) => {
                self.schema_or(shape, token)?
            }
            (shape, token) => {
                let name = if go.is_empty() { go::type_name(shape) } else { go.to_owned() };
                self.mismatch(token, &name, place)?
            }
        })
    }

    fn mismatch(&mut self, token: Token, name: &str, place: &Place<'_>) -> Result<Value, String> {
        let word = token.word();
        self.source.rest(token)?;
        Ok(self.fail(|| place.mismatch(word, name)))
    }

    fn parsed(&mut self, text: Result<String, String>) -> Value {
        match text {
            Ok(text) => text.into(),
            Err(fault) => self.fail(|| fault),
        }
    }

    /// The fields of an object whose start was read.
    fn fields(&mut self, of: TypeId, place: &Place<'_>) -> Result<Map<String, Value>, String> {
        let mut out = Map::new();
        while let Some(name) = self.source.next_key()? {
            let Some(field) = of.field(&name) else {
                self.strict_error("unknown", place, &name);
                let token = self.source.next_value()?;
                self.source.rest(token)?;
                continue;
            };
            let value = self.value(&field.shape, field.go, &place.field(field.name, of))?;
            self.put(&mut out, name, value, place);
        }
        Ok(out)
    }

    fn items(&mut self, item: &Shape, go: &str, place: &Place<'_>) -> Result<Value, String> {
        let mut out = Vec::new();
        while self.source.next_item()? {
            self.count()?;
            let value = self.value(item, go, &place.index(out.len()))?;
            out.push(value);
        }
        Ok(Value::Array(out))
    }

    fn entries(&mut self, shape: &Shape, go: &str, place: &Place<'_>) -> Result<Value, String> {
        let mut out = Map::new();
        while let Some(key) = self.source.next_key()? {
            self.count()?;
            let value = self.value(shape, go, &place.key(&key))?;
            self.put(&mut out, key, value, place);
        }
        Ok(Value::Object(out))
    }

    /// Of two equal names the last one wins; objects are read into one another, as Go does.
    fn put(&mut self, out: &mut Map<String, Value>, name: String, value: Value, place: &Place<'_>) {
        match out.get_mut(&name) {
            None => {
                out.insert(name, value);
            }
            Some(known) => {
                self.strict_error("duplicate", place, &name);
                match (known, value) {
                    (Value::Object(known), Value::Object(value)) => known.extend(value),
                    (known, value) => *known = value,
                }
            }
        }
    }

    fn integer(&mut self, shape: &Shape, number: &Number, go: &str, place: &Place<'_>) -> Value {
        let fits = match (number.as_i64(), shape) {
            (Some(int), Shape::Int32) => i32::try_from(int).is_ok(),
            (int, _) => int.is_some(),
        };
        if fits {
            return Value::Number(number.clone());
        }
        let word = format!("number {}", self.source.literal());
        let name = if go.is_empty() { go::type_name(shape) } else { go.to_owned() };
        self.fail(|| place.mismatch(&word, &name))
    }

    fn quantity(&mut self, token: Token) -> Result<Value, String> {
        let text = match token {
            Token::String(text) => text,
            Token::Number(_) => self.source.literal(),
            token => {
                self.source.rest(token)?;
                "{}".into()
            }
        };
        Ok(match quantity::canonical(text.trim()) {
            Ok(text) => text.into(),
            Err(fault) => self.fail(|| fault.to_string()),
        })
    }

    /// Upstream reads these by code of their own, whose fault is told with the field all the same.
    fn int_or_string(&mut self, token: Token, place: &Place<'_>) -> Result<Value, String> {
        Ok(match token {
            Token::String(text) => text.into(),
            Token::Number(number) => self.integer(&Shape::Int32, &number, "", place),
            token => self.mismatch(token, "int32", place)?,
        })
    }

    /// Schemas inside of schemas that may be something else. Upstream doesn't look for unknown fields there.
    fn schema_or(&mut self, shape: &Shape, token: Token) -> Result<Value, String> {
        let Some(schema) = super::schema_props() else { return self.source.rest(token) };
        let strict = std::mem::replace(&mut self.strict, false);
        let value = match (shape, token) {
            (_, Token::Object) => Value::Object(self.fields(schema, &Place::ROOT)?),
            (Shape::SchemaOrBool, Token::Bool(bool)) => bool.into(),
            (Shape::SchemaOrArray, Token::Array) => self.items(&Shape::Object(schema), "", &Place::ROOT)?,
            (Shape::SchemaOrStrings, Token::Array) => self.items(&Shape::String, "", &Place::ROOT)?,
            (Shape::SchemaOrBool, token) => {
                self.source.rest(token)?;
                self.fail(|| "boolean or JSON schema expected".into())
            }
            (_, token) => {
                self.source.rest(token)?;
                Value::Null
            }
        };
        self.strict = strict;
        Ok(value)
    }
}

/// A float as Go writes it: whole numbers without a point.
pub fn shortest(number: Number) -> Number {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
            Number::from(float as i64)
        }
        _ => number,
    }
}
