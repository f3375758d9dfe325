//! The table while it is put together, and what follows from facts that are known.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, bail};

/// OpenAPI name -> type.
pub type Table = BTreeMap<String, Type>;

/// A type.
#[derive(Default, Debug)]
pub struct Type {
    pub fields: BTreeMap<String, Field>,
    /// Group, version and kind.
    pub gvk: Option<(String, String, String)>,
    /// `x-kubernetes-map-type: atomic`.
    pub atomic: bool,
    pub description: String,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    pub shape: Shape,
    pub required: bool,
    pub omit: Omit,
    pub pointer: bool,
    pub list_type: String,
    pub list_keys: Vec<String>,
    /// The field's own `x-kubernetes-map-type`.
    pub atomic: Option<bool>,
    pub patch_strategy: String,
    pub patch_key: String,
    /// JSON text; `Some("none")` where the overlay says that there is none.
    pub default: Option<String>,
    pub go: String,
    pub tags: Vec<u8>,
    /// A list that is a message with `items` in protobuf.
    pub wrapped: bool,
    pub description: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omit {
    Never,
    Empty,
    Zero,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A word of [`SIMPLE`].
    Simple(&'static str),
    Object(String),
    List(Box<Shape>),
    Map(Box<Shape>),
}

/// (the overlay's word, the table's variant, the type that OpenAPI has for it)
pub const SIMPLE: &[(&str, &str, &str)] = &[
    ("string", "String", ""),
    ("int32", "Int32", ""),
    ("int64", "Int64", ""),
    ("bool", "Bool", ""),
    ("float", "Float", ""),
    ("bytes", "Bytes", ""),
    ("time", "Time", "io.k8s.apimachinery.pkg.apis.meta.v1.Time"),
    ("microtime", "MicroTime", "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"),
    ("quantity", "Quantity", "io.k8s.apimachinery.pkg.api.resource.Quantity"),
    ("intorstring", "IntOrString", "io.k8s.apimachinery.pkg.util.intstr.IntOrString"),
    ("raw", "Raw", "io.k8s.apimachinery.pkg.runtime.RawExtension"),
    ("fields", "Fields", "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1"),
    ("json", "Json", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON"),
    (
        "schemaorbool",
        "SchemaOrBool",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    ),
    (
        "schemaorarray",
        "SchemaOrArray",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    ),
    (
        "schemaorstrings",
        "SchemaOrStrings",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
    ),
];

impl Shape {
    pub fn simple(word: &str) -> anyhow::Result<Shape> {
        let (word, ..) =
            SIMPLE.iter().find(|(known, ..)| *known == word).with_context(|| format!("no shape {word}"))?;
        Ok(Shape::Simple(word))
    }

    /// The shape behind a reference to a type.
    pub fn of_type(name: &str) -> Shape {
        match SIMPLE.iter().find(|(.., known)| *known == name) {
            Some((word, ..)) => Shape::Simple(word),
            None => Shape::Object(name.to_owned()),
        }
    }

    /// The overlay's notation: `list:string`, `map:list:string`, a type's name.
    pub fn parse(text: &str) -> anyhow::Result<Shape> {
        if let Some(item) = text.strip_prefix("list:") {
            Ok(Shape::List(Box::new(Shape::parse(item)?)))
        } else if let Some(value) = text.strip_prefix("map:") {
            Ok(Shape::Map(Box::new(Shape::parse(value)?)))
        } else if text.contains('.') {
            Ok(Shape::of_type(text))
        } else {
            Shape::simple(text)
        }
    }

    fn holds_many(&self) -> bool {
        matches!(self, Shape::List(_) | Shape::Map(_) | Shape::Simple("bytes"))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Simple(word) => f.write_str(word),
            Shape::Object(name) => f.write_str(name),
            Shape::List(item) => write!(f, "list:{item}"),
            Shape::Map(value) => write!(f, "map:{value}"),
        }
    }
}

impl Field {
    /// A field as the generator takes it for granted. Required ones are always written. Optional strings,
    /// times and the three parts of an object are held by value, everything else behind a pointer.
    pub fn new(name: &str, shape: Shape, required: bool) -> Field {
        let by_value = match &shape {
            Shape::Object(_) => matches!(name, "metadata" | "spec" | "status"),
            shape => shape.holds_many() || matches!(shape, Shape::Simple("string" | "time")),
        };
        Field {
            pointer: !required && !by_value,
            omit: if required { Omit::Never } else { Omit::Empty },
            shape,
            required,
            list_type: String::new(),
            list_keys: Vec::new(),
            atomic: None,
            patch_strategy: String::new(),
            patch_key: String::new(),
            default: None,
            go: String::new(),
            tags: Vec::new(),
            wrapped: false,
            description: String::new(),
        }
    }

    /// The default that follows from the Go type: zero for what is always written, `{}` for structs by value.
    fn natural_default(&self) -> Option<&'static str> {
        match (&self.shape, self.omit) {
            _ if self.pointer => None,
            (Shape::Object(_), _) => Some("{}"),
            (Shape::Simple("string"), Omit::Never) => Some("\"\""),
            (Shape::Simple("int32" | "int64"), Omit::Never) => Some("0"),
            (Shape::Simple("bool"), Omit::Never) => Some("false"),
            _ => None,
        }
    }
}

/// Fills in what follows, and checks that every type that is named is there.
pub fn finish(table: &mut Table) -> anyhow::Result<()> {
    let known: Vec<String> = table.keys().cloned().collect();
    let atomic: BTreeMap<String, bool> = table.iter().map(|(name, ty)| (name.clone(), ty.atomic)).collect();
    for (name, ty) in table.iter_mut() {
        for (field_name, field) in &mut ty.fields {
            field.default = match field.default.take() {
                Some(none) if none == "none" => None,
                Some(text) => Some(text),
                None => field.natural_default().map(str::to_owned),
            };
            let mut inner = &field.shape;
            while let Shape::List(next) | Shape::Map(next) = inner {
                inner = next;
            }
            if let Shape::Object(of) = inner
                && known.binary_search(of).is_err()
            {
                bail!("{name}.{field_name} is of type {of}, which isn't there");
            }
            if let Shape::Object(of) = &field.shape {
                field.atomic.get_or_insert(atomic[of]);
            }
        }
    }
    Ok(())
}
