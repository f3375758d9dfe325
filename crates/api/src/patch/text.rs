//! A patched object as upstream's messages show it: what the patch went through is in the order of its keys, what
//! it left alone in the order in which the object is written.

use serde_json::{Map, Value};

use crate::schema::{Shape, TypeId};

/// The objects that a patch went through, by their keys; leaves are empty.
#[derive(Default)]
pub(crate) struct Touched(std::collections::BTreeMap<String, Touched>);

impl Touched {
    /// What a merge patch goes through: every object that it merges into another one.
    pub fn by_merge(patch: &Value) -> Touched {
        let objects = patch.as_object().into_iter().flatten().filter(|(_, value)| value.is_object());
        Touched(objects.map(|(key, value)| (key.clone(), Touched::by_merge(value))).collect())
    }

    /// What a list of JSON patch operations goes through: the parents of every path.
    pub fn by_operations(operations: &Value) -> Touched {
        let mut touched = Touched::default();
        let paths =
            operations.as_array().into_iter().flatten().flat_map(|each| [&each["path"], &each["from"]]);
        for path in paths.filter_map(Value::as_str) {
            let segments: Vec<String> = path
                .split('/')
                .skip(1)
                .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
                .collect();
            let mut at = &mut touched;
            for segment in segments.iter().take(segments.len().saturating_sub(1)) {
                at = at.0.entry(segment.clone()).or_default();
            }
        }
        touched
    }
}

/// The text of an object of a type that a patch went through.
pub(crate) fn text(of: TypeId, object: &Value, touched: &Touched) -> String {
    let mut out = String::new();
    write(Some(&Shape::Object(of)), object, Some(touched), &mut out);
    out
}

fn write(shape: Option<&Shape>, value: &Value, touched: Option<&Touched>, out: &mut String) {
    match value {
        Value::Object(map) => write_map(shape, map, touched, out),
        Value::Array(list) => {
            let element = match shape {
                Some(Shape::List(element)) => Some(*element),
                _ => None,
            };
            out.push('[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(element, value, touched.and_then(|touched| touched.0.get(&at.to_string())), out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn write_map(shape: Option<&Shape>, map: &Map<String, Value>, touched: Option<&Touched>, out: &mut String) {
    let mut keys: Vec<&String> = map.keys().collect();
    if let (Some(Shape::Object(of)), None) = (shape, touched) {
        keys.sort_by_key(|key| of.field(key).map_or([u8::MAX; 3], |field| field.tags));
    }
    out.push('{');
    for (at, key) in keys.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        let inner = match shape {
            Some(Shape::Object(of)) => of.field(key).map(|field| &field.shape),
            Some(Shape::Map(element)) => Some(*element),
            _ => None,
        };
        write(inner, &map[key], touched.and_then(|touched| touched.0.get(key)), out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::type_of;

    #[test]
    fn what_is_left_alone_is_in_the_order_of_its_type() {
        let of = type_of("", "v1", "ConfigMap").expect("a type of the table");
        let object =
            json!({"kind": "ConfigMap", "data": {"b": "1", "a": "2"}, "metadata": {"uid": "u", "name": "c"}});
        let left = text(of, &object, &Touched::by_merge(&json!({"data": {"a": "2"}})));
        assert_eq!(
            left,
            r#"{"data":{"a":"2","b":"1"},"kind":"ConfigMap","metadata":{"name":"c","uid":"u"}}"#
        );
        let touched = Touched::by_operations(&json!([{"op": "add", "path": "/metadata/uid", "value": "u"}]));
        let gone_through = text(of, &object, &touched);
        assert_eq!(
            gone_through,
            r#"{"data":{"a":"2","b":"1"},"kind":"ConfigMap","metadata":{"name":"c","uid":"u"}}"#
        );
        let object = json!({"metadata": {"uid": "u", "name": "c", "annotations": {}}});
        assert_eq!(text(of, &object, &touched), r#"{"metadata":{"annotations":{},"name":"c","uid":"u"}}"#);
    }
}
