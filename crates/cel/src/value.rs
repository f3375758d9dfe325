//! Values, as expressions see them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube_cel::cel;

use crate::error::EvalError;

/// A value. Copies share what is large.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Arc<Vec<Value>>),
    /// A map or an object.
    Map(Arc<BTreeMap<Key, Value>>),
    Duration(SignedDuration),
    Timestamp(Timestamp),
    Optional(Option<Arc<Value>>),
    /// A type, by its name.
    Type(Arc<str>),
    /// A value of a library: a quantity, an address.
    Library(Library),
    /// Something of the caller's.
    Host(Arc<dyn Host>),
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Key {
    Bool(bool),
    Int(i64),
    /// Only those that are no `Int`: the two are equal as keys.
    Uint(u64),
    String(Arc<str>),
}

/// A value only the functions of its library can look into.
#[derive(Clone)]
pub struct Library(pub(crate) cel::Value);

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl Library {
    /// The type's name: `kubernetes.Quantity`.
    pub(crate) fn type_name(&self) -> &str {
        match &self.0 {
            cel::Value::Opaque(opaque) => opaque.runtime_type_name(),
            _ => "dyn",
        }
    }
}

/// A value made by the caller: its fields and methods are computed when they are asked for. The checker must know
/// its type: see [`crate::Declarations`].
pub trait Host: fmt::Debug + Send + Sync {
    /// The name of its type.
    fn type_name(&self) -> &str;

    /// A field. None where there is none of that name.
    ///
    /// # Errors
    /// Where it can't be computed.
    fn field(&self, _name: &str) -> Option<Result<Value, EvalError>> {
        None
    }

    /// What the value holds where it is a map whose fields are its own affair: expressions may ask for its keys, its
    /// size, and go over it.
    fn entries(&self) -> Option<&BTreeMap<Key, Value>> {
        None
    }

    /// A method. None where there is none of that name for such arguments.
    ///
    /// # Errors
    /// Where the call fails.
    fn call(&self, _method: &str, _args: &[Value]) -> Option<Result<Value, EvalError>> {
        None
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl Value {
    /// A list.
    #[must_use]
    pub fn list(values: Vec<Value>) -> Value {
        Value::List(Arc::new(values))
    }

    /// A map or object with text keys.
    #[must_use]
    pub fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
        Value::Map(Arc::new(entries.into_iter().map(|(k, v)| (Key::String(k.into()), v)).collect()))
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth of a bool.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The value as a key of a map. Whole doubles are keys as well.
    pub(crate) fn key(&self) -> Option<Key> {
        Some(match self {
            Value::Bool(value) => Key::Bool(*value),
            Value::Int(value) => Key::Int(*value),
            Value::Uint(value) => i64::try_from(*value).map_or(Key::Uint(*value), Key::Int),
            #[allow(clippy::cast_possible_truncation, reason = "whole and in range")]
            Value::Double(value) if value.fract() == 0.0 && value.abs() < 9e18 => Key::Int(*value as i64),
            Value::String(text) => Key::String(text.clone()),
            _ => return None,
        })
    }

    /// The name of the value's type, as `type(x)` has it.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Optional(_) => "optional_type",
            Value::Type(_) => "type",
            Value::Library(library) => library.type_name(),
            Value::Host(host) => host.type_name(),
        }
    }
}

impl From<Key> for Value {
    fn from(key: Key) -> Value {
        match key {
            Key::Bool(value) => Value::Bool(value),
            Key::Int(value) => Value::Int(value),
            Key::Uint(value) => Value::Uint(value),
            Key::String(text) => Value::String(text),
        }
    }
}

/// Values are equal where they are of comparable types and the same: `1 == 1.0`, `1 != '1'`.
/// Source: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#equality>
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        use Value::*;
        match (self, other) {
            (Null, Null) => true,
            (Bool(a), Bool(b)) => a == b,
            (String(a), String(b)) | (Type(a), Type(b)) => a == b,
            (Bytes(a), Bytes(b)) => a == b,
            (List(a), List(b)) => a == b,
            (Map(a), Map(b)) => a == b,
            (Duration(a), Duration(b)) => a == b,
            (Timestamp(a), Timestamp(b)) => a == b,
            (Optional(a), Optional(b)) => a == b,
            (Library(a), Library(b)) => a.0 == b.0,
            (Host(a), Host(b)) => Arc::ptr_eq(a, b),
            _ => crate::eval::numbers::compare(self, other) == Some(std::cmp::Ordering::Equal),
        }
    }
}
