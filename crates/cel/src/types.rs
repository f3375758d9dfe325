//! Types, as the checker knows them before anything is evaluated.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The type of an expression. [`Type::Dyn`] is known only when it is evaluated.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Type {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    /// Something with known fields.
    Object(Arc<ObjectType>),
    /// A type of a library, which only functions can look into: `kubernetes.Quantity`.
    Opaque(Arc<str>),
    Optional(Arc<Type>),
    /// The type of types.
    Type(Arc<Type>),
    /// A type variable in the signature of a function: `A`.
    Param(char),
}

/// An object with known fields.
#[derive(Debug, Default, PartialEq)]
pub struct ObjectType {
    /// What messages call it: `kubernetes.UserInfo`, `object`.
    pub name: String,
    /// By the name an expression uses (see [`crate::escape`]).
    pub fields: BTreeMap<String, Field>,
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name in JSON.
    pub json: String,
    /// What it holds.
    pub of: Type,
}

impl ObjectType {
    /// An object whose fields are named alike in JSON and in expressions.
    #[must_use]
    pub fn new<'a>(name: &str, fields: impl IntoIterator<Item = (&'a str, Type)>) -> ObjectType {
        let fields = fields
            .into_iter()
            .map(|(name, of)| (name.to_owned(), Field { json: name.to_owned(), of }))
            .collect();
        ObjectType { name: name.to_owned(), fields }
    }
}

impl Type {
    /// A list.
    #[must_use]
    pub fn list(of: Type) -> Type {
        Type::List(Arc::new(of))
    }

    /// A map.
    #[must_use]
    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new(key), Arc::new(value))
    }

    /// An object of a name with fields.
    #[must_use]
    pub fn object<'a>(name: &str, fields: impl IntoIterator<Item = (&'a str, Type)>) -> Type {
        Type::Object(Arc::new(ObjectType::new(name, fields)))
    }

    /// An optional value.
    #[must_use]
    pub fn optional(of: Type) -> Type {
        Type::Optional(Arc::new(of))
    }

    /// A type only functions can look into.
    #[must_use]
    pub fn opaque(name: &str) -> Type {
        Type::Opaque(name.into())
    }

    /// Whether this type contains one only known when evaluated.
    pub(crate) fn is_dyn(&self) -> bool {
        *self == Type::Dyn
    }
}

/// As cel-go writes types in its messages.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn => f.write_str("dyn"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Duration => f.write_str("google.protobuf.Duration"),
            Type::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Type::List(of) => write!(f, "list({of})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Object(object) => f.write_str(&object.name),
            Type::Opaque(name) => f.write_str(name),
            Type::Optional(of) => write!(f, "optional_type({of})"),
            Type::Type(of) => write!(f, "type({of})"),
            Type::Param(name) => write!(f, "{name}"),
        }
    }
}
