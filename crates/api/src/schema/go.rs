//! Go's names of types and places, for messages.

use super::field::Shape;
use super::types::TypeId;

/// Go's name of a shape: `[]v1.Container`.
pub fn type_name(shape: &Shape) -> String {
    match shape {
        Shape::String => "string".into(),
        Shape::Int32 => "int32".into(),
        Shape::Int64 => "int64".into(),
        Shape::Bool => "bool".into(),
        Shape::Float => "float64".into(),
        Shape::Bytes => "[]uint8".into(),
        Shape::Time => "v1.Time".into(),
        Shape::MicroTime => "v1.MicroTime".into(),
        Shape::Quantity => "resource.Quantity".into(),
        Shape::IntOrString => "intstr.IntOrString".into(),
        Shape::Json => "v1.JSON".into(),
        Shape::Raw => "runtime.RawExtension".into(),
        Shape::Fields => "v1.FieldsV1".into(),
        Shape::SchemaOrBool => "v1.JSONSchemaPropsOrBool".into(),
        Shape::SchemaOrArray => "v1.JSONSchemaPropsOrArray".into(),
        Shape::SchemaOrStrings => "v1.JSONSchemaPropsOrStringArray".into(),
        Shape::Object(of) => object_name(*of),
        Shape::List(item) => format!("[]{}", type_name(item)),
        Shape::Map(value) => format!("map[string]{}", type_name(value)),
    }
}

/// Go's name of a type: the last part of the package and the name, `v1.ObjectMeta`.
pub fn object_name(of: TypeId) -> String {
    let name = of.name();
    let package = name.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
    name[package..].to_owned()
}

/// The name of the elements' type in a list's or map's: `[]v1.Verb` -> `v1.Verb`. Empty where it doesn't say.
pub fn element(name: &str) -> &str {
    let element = name
        .strip_prefix("[]")
        .or_else(|| name.strip_prefix("map[").and_then(|rest| rest.split_once(']').map(|(_, value)| value)));
    element.unwrap_or_default().trim_start_matches('*')
}

/// Where the checker is. Lives on the stack; text is made only for a message.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    /// A field, and the type that has it.
    Field(&'a str, TypeId),
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub const ROOT: Place<'static> = Place { parent: None, step: Step::Root };

    pub const fn field(&'a self, name: &'a str, of: TypeId) -> Place<'a> {
        Place { parent: Some(self), step: Step::Field(name, of) }
    }

    pub const fn key(&'a self, key: &'a str) -> Place<'a> {
        Place { parent: Some(self), step: Step::Key(key) }
    }

    pub const fn index(&'a self, index: usize) -> Place<'a> {
        Place { parent: Some(self), step: Step::Index(index) }
    }

    /// With keys and indexes, as strict errors have it: `spec.containers[0].image`.
    pub fn path(&self) -> String {
        let mut out = self.parent.map(Place::path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Field(name, _) | Step::Key(name) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
            }
            Step::Index(index) => {
                out.push_str(&format!("[{index}]"));
            }
        }
        out
    }

    /// The innermost struct, and the fields on the way: `PodSpec.spec.containers`; none outside of fields.
    fn struct_field(&self) -> Option<String> {
        let mut fields = Vec::new();
        let mut owner = None;
        let mut place = Some(self);
        while let Some(at) = place {
            if let Step::Field(name, of) = at.step {
                owner.get_or_insert(of);
                fields.push(name);
            }
            place = at.parent;
        }
        fields.reverse();
        owner.map(|of| format!("{}.{}", of.short_name(), fields.join(".")))
    }

    /// `json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container`.
    pub fn mismatch(&self, word: &str, name: &str) -> String {
        match self.struct_field() {
            Some(field) => {
                format!("json: cannot unmarshal {word} into Go struct field {field} of type {name}")
            }
            None => format!("json: cannot unmarshal {word} into Go value of type {name}"),
        }
    }
}
