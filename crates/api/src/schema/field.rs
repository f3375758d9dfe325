//! What the table knows of a field.

use super::types::TypeId;

/// The shape of a value in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    String,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
    /// A boolean.
    Bool,
    /// A floating point number of 64 bits.
    Float,
    /// Bytes, as a string in standard base64.
    Bytes,
    /// `metav1.Time`: a string in RFC 3339, in UTC, to the second.
    Time,
    /// `metav1.MicroTime`: a string in RFC 3339 with six decimals.
    MicroTime,
    /// `resource.Quantity`: a string (numbers are accepted).
    Quantity,
    /// `intstr.IntOrString`: an integer of 32 bits or a string.
    IntOrString,
    /// Any JSON (`apiextensions.JSON`, cells of a table).
    Json,
    /// Any object (`runtime.RawExtension`): what is inside has an apiVersion and a kind of its own.
    Raw,
    /// `metav1.FieldsV1`: a tree of managed fields, as an object.
    Fields,
    /// A schema or a boolean (`apiextensions.JSONSchemaPropsOrBool`).
    SchemaOrBool,
    /// A schema or a list of schemas (`apiextensions.JSONSchemaPropsOrArray`).
    SchemaOrArray,
    /// A schema or a list of strings (`apiextensions.JSONSchemaPropsOrStringArray`).
    SchemaOrStrings,
    /// An object of a type of the table.
    Object(TypeId),
    /// A list. Its elements are never null.
    List(&'static Shape),
    /// An object whose keys are free.
    Map(&'static Shape),
}

/// How server-side apply takes a list (`x-kubernetes-list-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    /// The list has one owner and is replaced as a whole. Also for what isn't a list.
    Atomic,
    /// A set of scalars: each element has owners.
    Set,
    /// Elements are told apart by these fields (`x-kubernetes-list-map-keys`).
    Map(&'static [&'static str]),
}

/// How server-side apply takes an object or map (`x-kubernetes-map-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapType {
    /// Each field or entry has owners.
    Granular,
    /// The object has one owner and is replaced as a whole.
    Atomic,
}

/// How a strategic merge patch takes a field (`x-kubernetes-patch-strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeStrategy {
    /// Lists are merged, not replaced.
    pub merge: bool,
    /// Keys that a patch of the object (or of a list's element) doesn't name under `$retainKeys` are dropped.
    pub retain_keys: bool,
    /// The field that tells elements of a merged list apart; empty for lists of scalars.
    pub key: &'static str,
}

/// When a field is left out of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omit {
    /// Never: absent is written as the zero value (`""`, `0`, `false`, `{}`), and as `null` where the field
    /// is [`Field::nullable`].
    Never,
    /// When empty: zero scalars, empty lists and maps; pointers only when nil (a zero behind a pointer is
    /// written). Structs that aren't pointers are never empty: they are written as `{}`.
    Empty,
    /// Like [`Omit::Empty`], and structs that aren't pointers when all their fields are zero.
    Zero,
}

/// A field of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name in JSON.
    pub name: &'static str,
    /// The shape of its value.
    pub shape: Shape,
    /// Whether OpenAPI calls it required.
    pub required: bool,
    /// When it is left out of JSON.
    pub omit: Omit,
    /// Whether upstream holds it behind a pointer, so that zero and absent are two things.
    pub pointer: bool,
    /// How apply takes it, where it is a list.
    pub list: ListType,
    /// Whether OpenAPI says the list type; where it doesn't, a list is atomic.
    pub list_declared: bool,
    /// How apply takes it, where it is an object or a map: the field's own word, or else its type's.
    pub map: MapType,
    /// How a strategic merge patch takes it.
    pub merge: MergeStrategy,
    /// The OpenAPI default as JSON text; empty where there is none.
    pub default: &'static str,
    /// Upstream's Go type, where it isn't what the shape says (`v1.RestartPolicy`); for messages.
    pub go: &'static str,
    /// The field's number in protobuf, after the numbers of the messages that embed it (where Go embeds a
    /// struct, protobuf has a message between); filled up with zeros. All zero where protobuf has no such field.
    pub tags: [u8; 3],
    /// Whether a list is a message of its own in protobuf (`items = 1`).
    pub wrapped: bool,
}

/// A field without any facts, for the generated table to start from.
pub const FIELD: Field = Field {
    name: "",
    shape: Shape::String,
    required: false,
    omit: Omit::Empty,
    pointer: false,
    list: ListType::Atomic,
    list_declared: false,
    map: MapType::Granular,
    merge: MergeStrategy { merge: false, retain_keys: false, key: "" },
    default: "",
    go: "",
    tags: [0; 3],
    wrapped: false,
};

impl Field {
    /// Whether an absent value is written as `null` when the field is never omitted: pointers, lists and maps.
    pub fn nullable(&self) -> bool {
        self.pointer || matches!(self.shape, Shape::List(_) | Shape::Map(_) | Shape::Bytes)
    }
}
