//! What the schema of a kind says of a place in an object, as far as ownership goes.

use serde_json::{Map, Value};

use crate::form::Form;
use crate::schema::{self, Field, ListType, MapType, Shape, TypeId};
use crate::structural::{Additional, ListKind, Structural};

/// What says what a place is: the schema table, or the schema of a custom resource.
#[derive(Clone, Copy, Debug)]
pub enum Elem<'s> {
    /// A shape of the table.
    Shape(&'static Shape),
    /// A structural schema.
    Schema(&'s Structural),
}

/// The fields that tell elements of a list apart; none where their values do.
#[derive(Clone, Copy, Debug)]
pub enum Keys<'s> {
    /// By the table.
    Known(&'static [&'static str]),
    /// By a structural schema.
    Named(&'s [String]),
}

impl<'s> Keys<'s> {
    fn sorted(self) -> Vec<&'s str> {
        let mut keys: Vec<&'s str> = match self {
            Keys::Known(keys) => keys.to_vec(),
            Keys::Named(keys) => keys.iter().map(String::as_str).collect(),
        };
        // Keys come sorted, as `FieldsV1` wants them.
        keys.sort_unstable();
        keys
    }
}

/// A place in an object.
#[derive(Clone, Copy, Debug)]
pub enum Node<'s> {
    /// A scalar.
    Scalar(Elem<'s>),
    /// A list, map or object with one owner.
    Atomic(Elem<'s>),
    /// An object whose fields have owners.
    Object(TypeId),
    /// The same of a custom resource; the flag says whether it is the whole object.
    Struct(&'s Structural, bool),
    /// A map whose entries have owners.
    Map(Elem<'s>),
    /// A list whose elements have owners.
    List(Elem<'s>, Keys<'s>),
    /// Beyond any schema: objects are maps, lists have one owner.
    Free,
}

static STRING: Shape = Shape::String;

impl<'s> Node<'s> {
    /// The whole object.
    pub fn root(form: &'s Form) -> Node<'s> {
        match form {
            Form::Table(type_id) => Node::Object(*type_id),
            Form::Custom(schema) => Node::Struct(schema, true),
        }
    }

    /// The place of a field.
    pub fn of_field(field: &'static Field) -> Node<'s> {
        match (&field.shape, field.list) {
            (Shape::Object(_) | Shape::Map(_), _) if field.map == MapType::Atomic => {
                Node::Atomic(Elem::Shape(&field.shape))
            }
            (Shape::List(_), ListType::Atomic) => Node::Atomic(Elem::Shape(&field.shape)),
            (Shape::List(element), ListType::Set) => Node::List(Elem::Shape(element), Keys::Known(&[])),
            (Shape::List(element), ListType::Map(keys)) => {
                Node::List(Elem::Shape(element), Keys::Known(keys))
            }
            _ => Node::of_shape(&field.shape),
        }
    }

    /// The place of an element of a list or map.
    pub fn of_elem(elem: Elem<'s>) -> Node<'s> {
        match elem {
            Elem::Shape(shape) => Node::of_shape(shape),
            Elem::Schema(schema) => Node::of_schema(schema),
        }
    }

    fn of_shape(shape: &'static Shape) -> Node<'s> {
        match shape {
            Shape::Object(type_id) if type_id.is_atomic() => Node::Atomic(Elem::Shape(shape)),
            Shape::Object(type_id) => Node::Object(*type_id),
            Shape::Map(element) => Node::Map(Elem::Shape(element)),
            Shape::List(_) | Shape::Raw | Shape::Fields => Node::Atomic(Elem::Shape(shape)),
            Shape::Json => Node::Free,
            _ => Node::Scalar(Elem::Shape(shape)),
        }
    }

    fn of_schema(schema: &'s Structural) -> Node<'s> {
        match schema.type_name.as_str() {
            _ if schema.int_or_string => Node::Scalar(Elem::Schema(schema)),
            "object" if schema.atomic => Node::Atomic(Elem::Schema(schema)),
            "object" => match &schema.additional {
                Additional::Of(element) if schema.properties.is_empty() => Node::Map(Elem::Schema(element)),
                _ => Node::Struct(schema, schema.embedded),
            },
            "array" => match (&schema.items, &schema.list) {
                (Some(items), ListKind::Set) => Node::List(Elem::Schema(items), Keys::Known(&[])),
                (Some(items), ListKind::Map(keys)) => Node::List(Elem::Schema(items), Keys::Named(keys)),
                _ => Node::Atomic(Elem::Schema(schema)),
            },
            "" => Node::Free,
            _ => Node::Scalar(Elem::Schema(schema)),
        }
    }

    /// What a place beyond any schema is, going by its value.
    pub fn resolved(self, value: &Value) -> Node<'s> {
        match (self, value) {
            (Node::Free, Value::Object(_)) => Node::Map(Elem::Shape(&Shape::Json)),
            (Node::Free, Value::Array(_)) => Node::Atomic(Elem::Shape(&Shape::Json)),
            (Node::Free, _) => Node::Scalar(Elem::Shape(&Shape::Json)),
            (node, _) => node,
        }
    }

    /// The place below a key; the flag says whether the key is a field of the type.
    pub fn below(self, key: &str) -> (Node<'s>, bool) {
        match self {
            Node::Object(type_id) => {
                type_id.field(key).map_or((Node::Free, false), |field| (Node::of_field(field), true))
            }
            Node::Struct(schema, whole) => match key {
                "metadata" if whole => (schema::object_meta().map_or(Node::Free, Node::Object), true),
                "apiVersion" | "kind" if whole => (Node::Scalar(Elem::Shape(&STRING)), true),
                _ => match (schema.properties.get(key), &schema.additional) {
                    (Some(below), _) => (Node::of_schema(below), true),
                    (None, Additional::Of(below)) => (Node::of_schema(below), false),
                    _ => (Node::Free, false),
                },
            },
            Node::Map(element) => (Node::of_elem(element), false),
            _ => (Node::Free, false),
        }
    }

    /// Whether an object may have no other fields than those of its type.
    pub fn is_closed(self) -> bool {
        match self {
            Node::Object(_) => true,
            Node::Struct(schema, _) => {
                !schema.preserve_unknown && matches!(schema.additional, Additional::None)
            }
            _ => false,
        }
    }

    /// The place below a step of a set of fields; the flag says whether it is a field of the type.
    pub fn below_step(self, step: &str) -> (Node<'s>, bool) {
        match (self, step.strip_prefix("f:")) {
            (_, Some(key)) => self.below(key),
            (Node::List(element, _), None) => (Node::of_elem(element), false),
            _ => (Node::Free, false),
        }
    }
}

/// The step that leads to an element of a list.
///
/// # Errors
/// Upstream's words for an element that has no key, or is of the wrong kind.
pub fn element_step(element: Elem<'_>, keys: Keys<'_>, value: &Value) -> Result<String, String> {
    let keys = keys.sorted();
    if keys.is_empty() {
        return match value {
            Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
            Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
            Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
            scalar => Ok(format!("v:{scalar}")),
        };
    }
    let map = match value {
        Value::Object(map) => map,
        Value::Null => return Err("associative list with keys may not have a null element".into()),
        _ => return Err("associative list with keys may not have non-map elements".into()),
    };
    let mut step = String::with_capacity(32);
    step.push_str("k:{");
    for (at, key) in keys.into_iter().enumerate() {
        if at > 0 {
            step.push(',');
        }
        step.push_str(&Value::from(key).to_string());
        step.push(':');
        match (map.get(key), key_default(element, key)) {
            (Some(value), _) => step.push_str(&value.to_string()),
            (None, Some(default)) => step.push_str(&default),
            (None, None) => {
                return Err(format!(
                    "associative list with keys has an element that omits key field {key:?} (and doesn't have default value)"
                ));
            }
        }
    }
    step.push('}');
    Ok(step)
}

fn key_default(element: Elem<'_>, key: &str) -> Option<String> {
    match element {
        Elem::Shape(Shape::Object(type_id)) => {
            type_id.field(key).map(|field| field.default.to_owned()).filter(|default| !default.is_empty())
        }
        Elem::Shape(_) => None,
        Elem::Schema(schema) => schema.properties.get(key)?.default.as_ref().map(Value::to_string),
    }
}

/// The elements of a list by their steps, in order of the steps; elements without one are left out.
pub fn elements<'a>(element: Elem<'_>, keys: Keys<'_>, list: &'a [Value]) -> Vec<(String, &'a Value)> {
    let steps = list.iter().filter_map(|value| Some((element_step(element, keys, value).ok()?, value)));
    let mut steps: Vec<_> = steps.collect();
    steps.sort_by(|(a, _), (b, _)| a.cmp(b));
    steps
}

/// The entries of a map; none where it is null or anything else.
pub fn entries(value: &Value) -> &Map<String, Value> {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&EMPTY)
}

/// The elements of a list; none where it is null or anything else.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
