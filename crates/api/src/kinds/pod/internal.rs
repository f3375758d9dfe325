//! Objects as upstream's messages show them: its internal types, all fields, in Go's order and under Go's names.

use serde_json::Value;

use super::internal_types::TYPES;
use crate::kinds::common::walk::{get, list, map, text};

/// JSON whose fields have an order.
enum Node {
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A value as an internal type, in one line.
pub fn json(of: &str, value: &Value) -> String {
    let mut out = String::new();
    node(of, Some(value), &Value::Null).write(&mut out, None, 0);
    out
}

/// A list of an internal type, in one line; `null` where there is none.
pub fn json_list(of: &str, value: Option<&Value>) -> String {
    let mut out = String::new();
    node(&format!("[]{of}"), value, &Value::Null).write(&mut out, None, 0);
    out
}

/// A value as an internal type, indented by one blank a level, as upstream compares it.
pub fn pretty(of: &str, value: &Value) -> String {
    let mut out = String::new();
    node(of, Some(value), &Value::Null).write(&mut out, Some(1), 0);
    out
}

/// `shape` is `*T` (pointer), `[]T` (list), `s`, `i`, `b` (text, number, boolean), `q` (quantity), `x` (number
/// or text), `m` (map), `j` (label selector), or the name of a type.
fn node(shape: &str, value: Option<&Value>, parent: &Value) -> Node {
    if let Some(inner) = shape.strip_prefix('*') {
        return match value {
            Some(value) => node(inner, Some(value), parent),
            None => Node::Text("null".to_owned()),
        };
    }
    if let Some(inner) = shape.strip_prefix("[]") {
        return match value.and_then(Value::as_array) {
            Some(values) => Node::List(values.iter().map(|value| node(inner, Some(value), parent)).collect()),
            None => Node::Text("null".to_owned()),
        };
    }
    let or = |zero: &str| Node::Text(value.map_or_else(|| zero.to_owned(), Value::to_string));
    match shape {
        "s" => or("\"\""),
        "i" | "x" => or("0"),
        "b" => or("false"),
        "q" => or("\"0\""),
        "j" => value.map_or_else(|| Node::Text("null".to_owned()), selector),
        "m" => match value.and_then(Value::as_object) {
            Some(map) => Node::Object(
                map.iter().map(|(key, value)| (key.clone(), Node::Text(value.to_string()))).collect(),
            ),
            None => Node::Text("null".to_owned()),
        },
        name => Node::Object(fields(name, value.unwrap_or(&Value::Null), parent)),
    }
}

/// Label selectors keep their JSON names, and leave out what is empty.
fn selector(selector: &Value) -> Node {
    let plain = |value: &Value| Node::Text(value.to_string());
    let mut out = Vec::new();
    let labels = map(selector, "matchLabels");
    if !labels.is_empty() {
        let labels = labels.iter().map(|(key, value)| (key.clone(), plain(value))).collect();
        out.push(("matchLabels".to_owned(), Node::Object(labels)));
    }
    let expressions = list(selector, "matchExpressions").iter().map(|expression| {
        let mut parts: Vec<(String, Node)> = ["key", "operator"]
            .into_iter()
            .map(|key| (key.to_owned(), Node::Text(Value::from(text(expression, key)).to_string())))
            .collect();
        let values = list(expression, "values");
        if !values.is_empty() {
            parts.push(("values".to_owned(), Node::List(values.iter().map(plain).collect())));
        }
        Node::Object(parts)
    });
    let expressions: Vec<Node> = expressions.collect();
    if !expressions.is_empty() {
        out.push(("matchExpressions".to_owned(), Node::List(expressions)));
    }
    Node::Object(out)
}

fn fields(name: &str, value: &Value, parent: &Value) -> Vec<(String, Node)> {
    let mut out = Vec::new();
    let Some((_, described)) = TYPES.iter().find(|(known, _)| *known == name) else { return out };
    for field in described.split_whitespace() {
        if let Some(embedded) = field.strip_prefix('@') {
            out.extend(fields(embedded, value, parent));
        } else if field == "+" {
            out.extend(metadata(value));
        } else if let Some((key, rest)) = field.split_once('=') {
            let (go, shape) = rest.split_once(':').unwrap_or((rest, "s"));
            // A few fields of the pod's spec stand in its security context.
            let made = match shape.strip_prefix('^') {
                Some(shape) => node(shape, get(parent, key), value),
                None => node(shape, get(value, key), value),
            };
            out.push((go.to_owned(), made));
        }
    }
    out
}

/// Metadata keeps its JSON names inside internal types.
fn metadata(value: &Value) -> Vec<(String, Node)> {
    let Some(metadata) = get(value, "metadata") else { return Vec::new() };
    let plain = ["name", "generateName", "namespace"]
        .into_iter()
        .filter(|key| !text(metadata, key).is_empty())
        .map(|key| (key.to_owned(), Node::Text(metadata[key].to_string())));
    let maps = ["labels", "annotations"].into_iter().filter_map(|key| {
        let map = get(metadata, key)?.as_object().filter(|map| !map.is_empty())?;
        Some((
            key.to_owned(),
            Node::Object(map.iter().map(|(k, v)| (k.clone(), Node::Text(v.to_string()))).collect()),
        ))
    });
    plain.chain(maps).collect()
}

impl Node {
    fn write(&self, out: &mut String, indent: Option<usize>, depth: usize) {
        let line = |out: &mut String, depth: usize| {
            if let Some(width) = indent {
                out.push('\n');
                out.push_str(&" ".repeat(width * depth));
            }
        };
        match self {
            Node::Text(text) => out.push_str(text),
            Node::List(items) if items.is_empty() => out.push_str("[]"),
            Node::Object(items) if items.is_empty() => out.push_str("{}"),
            Node::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    line(out, depth + 1);
                    item.write(out, indent, depth + 1);
                }
                line(out, depth);
                out.push(']');
            }
            Node::Object(items) => {
                out.push('{');
                for (at, (key, item)) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    line(out, depth + 1);
                    out.push_str(&Value::from(key.as_str()).to_string());
                    out.push_str(if indent.is_some() { ": " } else { ":" });
                    item.write(out, indent, depth + 1);
                }
                line(out, depth);
                out.push('}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_become_gos() {
        let term = json!({"matchExpressions": [{"key": "b", "operator": "Exists"}]});
        assert_eq!(
            json("NodeSelectorTerm", &term),
            r#"{"MatchExpressions":[{"Key":"b","Operator":"Exists","Values":null}],"MatchFields":null}"#
        );
        assert_eq!(pretty("PodOS", &json!({"name": "linux"})), "{\n \"Name\": \"linux\"\n}");
        let template = json!({"metadata": {"labels": {"a": "b"}},
            "spec": {"hostNetwork": true, "containers": [], "securityContext": {}}});
        let shown = json("PodTemplateSpec", &template);
        assert!(shown.starts_with(r#"{"labels":{"a":"b"},"Spec":{"Volumes":null,"#), "{shown}");
        assert!(
            shown.contains(r#""Containers":[],"#) && shown.contains(r#""HostNetwork":true,"HostPID":false"#)
        );
    }

    #[test]
    fn every_type_that_is_named_is_there() {
        for (of, described) in TYPES {
            for field in described.split_whitespace().filter(|field| *field != "+") {
                let shape = field.rsplit([':', '@']).next().unwrap_or_default();
                let name = shape.trim_start_matches(['*', '[', ']', '^']);
                assert!(
                    name.len() == 1 || TYPES.iter().any(|(known, _)| *known == name),
                    "{of} has a field of {name}"
                );
            }
        }
    }
}
