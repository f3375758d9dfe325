//! Whether an applied configuration fits its type, in the words of upstream's typed values.

use std::collections::BTreeSet;

use serde_json::Value;

use super::node::{Elem, Keys, Node, element_step};
use super::path::{show_path, show_step};
use crate::patch::go;
use crate::schema::Shape;

/// What is wrong with a configuration; none where it fits. Several faults are listed under `errors:`.
pub fn faults(node: Node<'_>, value: &Value) -> Option<String> {
    let mut check = Check { path: Vec::new(), faults: Vec::new() };
    check.value(node, value);
    match check.faults.len() {
        0 => None,
        1 => check.faults.pop(),
        _ => Some(format!("errors:\n  {}", check.faults.join("\n  "))),
    }
}

struct Check {
    path: Vec<String>,
    faults: Vec<String>,
}

impl Check {
    fn fault(&mut self, text: &str) {
        let place = show_path(self.path.iter().map(String::as_str));
        self.faults.push(if place.is_empty() { text.to_owned() } else { format!("{place}: {text}") });
    }

    fn below(&mut self, step: String, node: Node<'_>, value: &Value) {
        self.path.push(step);
        self.value(node, value);
        self.path.pop();
    }

    fn value(&mut self, node: Node<'_>, value: &Value) {
        match node.resolved(value) {
            Node::Scalar(shape) => self.scalar(shape, value),
            Node::Atomic(Elem::Shape(Shape::Object(type_id))) => self.map(Node::Object(*type_id), value),
            Node::Atomic(Elem::Shape(Shape::Map(element))) => {
                self.map(Node::Map(Elem::Shape(element)), value)
            }
            Node::Atomic(Elem::Shape(Shape::List(element))) => self.atomic_list(Elem::Shape(element), value),
            Node::Atomic(Elem::Schema(schema)) => match &schema.items {
                Some(items) => self.atomic_list(Elem::Schema(items), value),
                None if schema.type_name == "object" => self.map(Node::Struct(schema, false), value),
                None => {}
            },
            Node::Atomic(_) | Node::Free => {}
            node @ (Node::Object(_) | Node::Struct(..) | Node::Map(_)) => self.map(node, value),
            Node::List(element, keys) => self.elements(element, keys, value),
        }
    }

    fn atomic_list(&mut self, element: Elem<'_>, value: &Value) {
        for (at, value) in self.list(value).iter().enumerate() {
            self.below(format!("i:{at}"), Node::of_elem(element), value);
        }
    }

    fn map(&mut self, node: Node<'_>, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(map) => {
                for (key, value) in map {
                    match node.below(key) {
                        (Node::Free, false) if node.is_closed() => {
                            self.path.push(format!("f:{key}"));
                            self.fault("field not declared in schema");
                            self.path.pop();
                        }
                        (below, _) => self.below(format!("f:{key}"), below, value),
                    }
                }
            }
            other => self.fault(&format!("expected map, got &{{{}}}", go::show(other))),
        }
    }

    fn list<'v>(&mut self, value: &'v Value) -> &'v [Value] {
        match value {
            Value::Null => &[],
            Value::Array(list) => list,
            other => {
                self.fault(&format!("expected list, got &{{{}}}", go::show(other)));
                &[]
            }
        }
    }

    fn elements(&mut self, element: Elem<'_>, keys: Keys<'_>, value: &Value) {
        let mut seen = BTreeSet::new();
        for (at, value) in self.list(value).iter().enumerate() {
            match element_step(element, keys, value) {
                Ok(step) => {
                    if !seen.insert(step.clone()) {
                        self.fault(&format!("duplicate entries for key {}", show_step(&step)));
                    }
                    self.below(step, Node::of_elem(element), value);
                }
                Err(text) => {
                    self.fault(&format!("element {at}: {text}"));
                    return;
                }
            }
        }
    }

    fn scalar(&mut self, elem: Elem<'_>, value: &Value) {
        if value.is_null() {
            return;
        }
        let custom = matches!(elem, Elem::Schema(_));
        let shape = match elem {
            Elem::Shape(shape) => shape,
            Elem::Schema(schema) if schema.int_or_string => &Shape::IntOrString,
            Elem::Schema(schema) => match schema.type_name.as_str() {
                "integer" | "number" => &Shape::Float,
                "boolean" => &Shape::Bool,
                _ => &Shape::String,
            },
        };
        let (wanted, fits) = match shape {
            Shape::Int32 | Shape::Int64 | Shape::Float => ("numeric (int or float)", value.is_number()),
            Shape::Bool => ("boolean", value.is_boolean()),
            Shape::Quantity | Shape::IntOrString | Shape::Json => {
                if value.is_array() || value.is_object() {
                    self.fault(&format!("expected any scalar, got &{{{}}}", go::show(value)));
                }
                return;
            }
            _ => ("string", value.is_string()),
        };
        if !fits {
            if custom {
                self.fault(&format!("expected {wanted}, got {}", go::value_type(value)));
                return;
            }
            let shown = go::syntax(value);
            self.fault(&format!("expected {wanted}, got &value.valueUnstructured{{Value:{shown}}}"));
        }
    }
}
