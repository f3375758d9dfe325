//! Upstream's normal form: what its encoder would write for an object.

use serde_json::{Map, Value};

use super::check::shortest;
use super::field::{Field, Omit, Shape};
use super::types::TypeId;
use super::{base64, time};
use crate::quantity;

/// Brings a value that fits its type to upstream's normal form: what its encoder leaves out is left out, what
/// it always writes is there (`status: {}`, `lastProbeTime: null`), unknown fields are dropped, quantities and
/// times have their canonical form. Idempotent. Values that don't fit their type stay as they are.
pub fn normalize(of: TypeId, value: &mut Value) {
    Normal { scalars: true, stored: false }.object(of, value);
}

/// How much there is to do.
#[derive(Clone, Copy)]
pub(crate) struct Normal {
    /// Whether quantities, times and so on may have another form than the canonical one.
    pub scalars: bool,
    /// Whether the value is as a client sent it and will be stored: upstream's storage doesn't tell empty lists
    /// and maps from absent ones, so that `[]` becomes `null` where a list is always written.
    pub stored: bool,
}

impl Normal {
    /// An object, or null for one without fields.
    pub fn object(self, of: TypeId, value: &mut Value) {
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
        let Value::Object(fields) = value else { return };
        // Both are in order of their names (maps of serde_json are, without its `preserve_order`): side by side.
        let mut known = of.fields().iter().peekable();
        let mut missing: Vec<&Field> = Vec::new();
        fields.retain(|name, value| {
            while let Some(field) = known.next_if(|field| field.name < name.as_str()) {
                missing.extend(always_written(field).then_some(field));
            }
            let Some(field) = known.next_if(|field| field.name == name) else { return false };
            self.keep(field, value)
        });
        missing.extend(known.filter(|field| always_written(field)));
        for field in missing {
            fields.insert(field.name.to_owned(), self.zero(field));
        }
    }

    /// Normalizes a field that is there; whether it stays.
    fn keep(self, field: &Field, value: &mut Value) -> bool {
        self.shape(&field.shape, value);
        if value.is_null() {
            if always_written(field) {
                *value = self.zero(field);
                return true;
            }
            return false;
        }
        let many = matches!(field.shape, Shape::List(_) | Shape::Map(_));
        if many && is_zero(value) && field.omit == Omit::Never {
            if self.stored {
                *value = Value::Null;
            }
            return true;
        }
        if field.omit == Omit::Never || field.pointer {
            return true;
        }
        match field.shape {
            Shape::String
            | Shape::Int32
            | Shape::Int64
            | Shape::Bool
            | Shape::Float
            | Shape::Bytes
            | Shape::List(_)
            | Shape::Map(_) => !is_zero(value),
            _ => true,
        }
    }

    /// Normalizes what is inside of a value.
    fn shape(self, shape: &Shape, value: &mut Value) {
        match shape {
            // A pointer that is nil stays so.
            Shape::Object(_) if value.is_null() => {}
            Shape::Object(of) => self.object(*of, value),
            Shape::List(item) => {
                for value in value.as_array_mut().into_iter().flatten() {
                    self.element(item, value);
                }
            }
            Shape::Map(item) => {
                for (_, value) in value.as_object_mut().into_iter().flatten() {
                    self.element(item, value);
                }
            }
            Shape::SchemaOrBool | Shape::SchemaOrArray | Shape::SchemaOrStrings => self.schema_or(value),
            _ if self.scalars => scalar(shape, value),
            _ => {}
        }
    }

    /// An element of a list or map: a null is the zero value.
    fn element(self, shape: &Shape, value: &mut Value) {
        match shape {
            Shape::Object(of) => self.object(*of, value),
            _ if value.is_null() => {
                let field = Field { shape: *shape, omit: Omit::Never, ..super::field::FIELD };
                *value = self.zero(&field);
            }
            shape => self.shape(shape, value),
        }
    }

    fn schema_or(self, value: &mut Value) {
        let Some(schema) = super::schema_props() else { return };
        match value {
            Value::Object(_) => self.object(schema, value),
            Value::Array(items) => {
                for item in items.iter_mut().filter(|item| item.is_object()) {
                    self.object(schema, item);
                }
            }
            _ => {}
        }
    }

    /// What is written for a field that is always written and has no value.
    fn zero(self, field: &Field) -> Value {
        if field.pointer {
            return Value::Null;
        }
        match &field.shape {
            Shape::String => "".into(),
            Shape::Int32 | Shape::Int64 | Shape::Float | Shape::IntOrString => 0.into(),
            Shape::Bool => false.into(),
            Shape::Quantity => "0".into(),
            Shape::Object(of) => {
                let mut value = Value::Null;
                self.object(*of, &mut value);
                value
            }
            _ => Value::Null,
        }
    }
}

/// Whether the field is written without a value: it is never omitted, or it is a struct held by value, which
/// is never empty to Go's encoder.
fn always_written(field: &Field) -> bool {
    match field.omit {
        Omit::Never => true,
        Omit::Zero => false,
        Omit::Empty => {
            !field.pointer
                && matches!(
                    field.shape,
                    Shape::Object(_)
                        | Shape::Time
                        | Shape::MicroTime
                        | Shape::Quantity
                        | Shape::IntOrString
                        | Shape::Raw
                        | Shape::Fields
                )
        }
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(bool) => !bool,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}

/// The canonical form of a scalar; what has none stays.
fn scalar(shape: &Shape, value: &mut Value) {
    match (shape, &mut *value) {
        (Shape::Quantity, Value::String(text)) => {
            if let Ok(canonical) = quantity::canonical(text) {
                *text = canonical;
            }
        }
        (Shape::Quantity, Value::Number(number)) => {
            if let Ok(canonical) = quantity::canonical(&number.to_string()) {
                *value = canonical.into();
            }
        }
        (Shape::Time, Value::String(text)) => {
            if let Ok(canonical) = time::time(text) {
                *text = canonical;
            }
        }
        (Shape::MicroTime, Value::String(text)) => {
            if let Ok(canonical) = time::micro_time(text) {
                *text = canonical;
            }
        }
        (Shape::Bytes, Value::String(text)) => {
            if let Ok(canonical) = base64::canonical(text) {
                *text = canonical;
            }
        }
        (Shape::Float, Value::Number(number)) => *number = shortest(number.clone()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::type_of;

    fn normal(group: &str, version: &str, kind: &str, mut value: Value) -> Value {
        let of = type_of(group, version, kind).expect("a known kind");
        normalize(of, &mut value);
        let mut again = value.clone();
        normalize(of, &mut again);
        assert_eq!(again, value, "normalizing twice");
        value
    }

    #[test]
    fn what_go_always_writes_is_there() {
        assert_eq!(
            normal("", "v1", "Pod", json!({"status": {"conditions": [{"type": "Ready"}]}})),
            json!({"metadata": {}, "spec": {"containers": null}, "status": {"conditions": [
                {"type": "Ready", "status": "", "lastProbeTime": null, "lastTransitionTime": null}]}})
        );
        assert_eq!(
            normal("rbac.authorization.k8s.io", "v1", "Role", json!({})),
            json!({"metadata": {}, "rules": null})
        );
        assert_eq!(
            normal("apps", "v1", "Deployment", json!({"spec": {"template": null}})),
            json!({"metadata": {}, "status": {}, "spec": {"selector": null, "strategy": {},
                "template": {"metadata": {}, "spec": {"containers": null}}}})
        );
    }

    #[test]
    fn empty_is_left_out_but_zero_behind_a_pointer_is_not() {
        let value = json!({"metadata": {"labels": {}, "generation": 0, "creationTimestamp": null, "finalizers": []},
            "spec": {"hostNetwork": false, "nodeName": "", "priority": 0, "hostUsers": false, "overhead": {},
                "securityContext": {}, "containers": [{"name": "c"}], "unknown": 1}});
        assert_eq!(
            normal("", "v1", "Pod", value),
            json!({"metadata": {}, "status": {}, "spec": {"priority": 0, "hostUsers": false, "securityContext": {},
                "containers": [{"name": "c", "resources": {}}]}})
        );
    }

    #[test]
    fn scalars_have_their_canonical_form() {
        let value = json!({"metadata": {"creationTimestamp": "2024-05-06T09:08:09.5+02:00"}, "data": {"a": "aGk\n="},
            "immutable": false});
        assert_eq!(
            normal("", "v1", "Secret", value),
            json!({"metadata": {"creationTimestamp": "2024-05-06T07:08:09Z"}, "data": {"a": "aGk="},
                "immutable": false})
        );
        let value = json!({"spec": {"hard": {"cpu": "1000m", "memory": 1024}}});
        assert_eq!(
            normal("", "v1", "ResourceQuota", value)["spec"],
            json!({"hard": {"cpu": "1", "memory": "1024"}})
        );
    }

    #[test]
    fn schemas_in_schemas_are_normalized() {
        let schema = json!({"type": "object", "required": [], "items": {"type": "", "minimum": 1.0},
            "additionalProperties": true, "default": {"a": null}});
        let mut value = schema;
        normalize(crate::schema::schema_props().expect("a known type"), &mut value);
        assert_eq!(
            value,
            json!({"type": "object", "items": {"minimum": 1}, "additionalProperties": true, "default": {"a": null}})
        );
    }
}
