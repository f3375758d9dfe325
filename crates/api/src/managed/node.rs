//! What the schema table says of a place in an object, as far as ownership goes.

use serde_json::{Map, Value};

use crate::schema::{Field, ListType, MapType, Shape, TypeId};

/// A place in an object.
#[derive(Clone, Copy, Debug)]
pub enum Node {
    /// A scalar of this shape.
    Scalar(&'static Shape),
    /// A list, map or object with one owner.
    Atomic(&'static Shape),
    /// An object whose fields have owners.
    Object(TypeId),
    /// A map whose entries have owners.
    Map(&'static Shape),
    /// A list whose elements have owners; told apart by these fields, or by their value where there are none.
    List(&'static Shape, &'static [&'static str]),
    /// Beyond the table: objects are maps, lists have one owner.
    Free,
}

impl Node {
    /// The place of a field.
    pub fn of_field(field: &'static Field) -> Node {
        match (&field.shape, field.list) {
            (Shape::Object(_) | Shape::Map(_), _) if field.map == MapType::Atomic => {
                Node::Atomic(&field.shape)
            }
            (Shape::List(_), ListType::Atomic) => Node::Atomic(&field.shape),
            (Shape::List(element), ListType::Set) => Node::List(element, &[]),
            (Shape::List(element), ListType::Map(keys)) => Node::List(element, keys),
            _ => Node::of_shape(&field.shape),
        }
    }

    /// The place of an element of a list or map.
    pub fn of_shape(shape: &'static Shape) -> Node {
        match shape {
            Shape::Object(type_id) if type_id.is_atomic() => Node::Atomic(shape),
            Shape::Object(type_id) => Node::Object(*type_id),
            Shape::Map(element) => Node::Map(element),
            Shape::List(_) | Shape::Raw | Shape::Fields => Node::Atomic(shape),
            Shape::Json => Node::Free,
            _ => Node::Scalar(shape),
        }
    }

    /// What a place beyond the table is, going by its value.
    pub fn resolved(self, value: &Value) -> Node {
        match (self, value) {
            (Node::Free, Value::Object(_)) => Node::Map(&Shape::Json),
            (Node::Free, Value::Array(_)) => Node::Atomic(&Shape::Json),
            (Node::Free, _) => Node::Scalar(&Shape::Json),
            (node, _) => node,
        }
    }

    /// The place below a key; the flag says whether the key is a field of the type.
    pub fn below(self, key: &str) -> (Node, bool) {
        match self {
            Node::Object(type_id) => {
                type_id.field(key).map_or((Node::Free, false), |field| (Node::of_field(field), true))
            }
            Node::Map(element) => (Node::of_shape(element), false),
            _ => (Node::Free, false),
        }
    }

    /// The place below a step of a set of fields; the flag says whether it is a field of the type.
    pub fn below_step(self, step: &str) -> (Node, bool) {
        match (self, step.strip_prefix("f:")) {
            (_, Some(key)) => self.below(key),
            (Node::List(element, _), None) => (Node::of_shape(element), false),
            _ => (Node::Free, false),
        }
    }
}

/// The step that leads to an element of a list.
///
/// # Errors
/// Upstream's words for an element that has no key, or is of the wrong kind.
pub fn element_step(
    element: &'static Shape,
    keys: &'static [&'static str],
    value: &Value,
) -> Result<String, String> {
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
    // Keys come sorted, as `FieldsV1` wants them.
    let mut sorted: Vec<&str> = keys.to_vec();
    sorted.sort_unstable();
    let mut step = String::with_capacity(32);
    step.push_str("k:{");
    for (at, key) in sorted.into_iter().enumerate() {
        if at > 0 {
            step.push(',');
        }
        step.push_str(&Value::from(key).to_string());
        step.push(':');
        match (map.get(key), key_default(element, key)) {
            (Some(value), _) => step.push_str(&value.to_string()),
            (None, Some(default)) => step.push_str(default),
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

fn key_default(element: &'static Shape, key: &str) -> Option<&'static str> {
    let Shape::Object(type_id) = element else { return None };
    type_id.field(key).map(|field| field.default).filter(|default| !default.is_empty())
}

/// The elements of a list by their steps, in order of the steps; elements without one are left out.
pub fn elements<'a>(
    element: &'static Shape,
    keys: &'static [&'static str],
    list: &'a [Value],
) -> Vec<(String, &'a Value)> {
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
