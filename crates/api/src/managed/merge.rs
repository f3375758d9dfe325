//! Merging an applied configuration into an object, and taking fields out of one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::node::{Node, element_step, entries, items};
use super::set::FieldSet;

/// The object with everything that the configuration says.
pub fn merge(node: Node<'_>, live: &Value, config: &Value) -> Value {
    match node.resolved(config) {
        Node::Scalar(_) | Node::Atomic(_) | Node::Free => config.clone(),
        node @ (Node::Object(_) | Node::Struct(..) | Node::Map(_)) => {
            let (old, new) = (entries(live), entries(config));
            if old.is_empty() && new.is_empty() {
                return config.clone();
            }
            let mut merged = old.clone();
            for (key, value) in new {
                let value = match old.get(key) {
                    Some(old) => merge(node.below(key).0, old, value),
                    None => value.clone(),
                };
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        Node::List(element, keys) => {
            let (old, new) = (items(live), items(config));
            if old.is_empty() && new.is_empty() {
                return config.clone();
            }
            let step = |value: &Value| element_step(element, keys, value).unwrap_or_default();
            let old: Vec<(String, &Value)> = old.iter().map(|value| (step(value), value)).collect();
            let new: Vec<(String, &Value)> = new.iter().map(|value| (step(value), value)).collect();
            Value::Array(merge_lists(Node::of_elem(element), &old, &new))
        }
    }
}

/// Interleaves two lists: elements of both merge and stand in the order of the configuration, those of the
/// live list stay near where they were.
fn merge_lists(node: Node<'_>, old: &[(String, &Value)], new: &[(String, &Value)]) -> Vec<Value> {
    // Of elements that stand twice in the live list none is merged with.
    let mut olds: BTreeMap<&str, Option<&Value>> = BTreeMap::new();
    for (step, value) in old {
        olds.entry(step).and_modify(|known| *known = None).or_insert(Some(value));
    }
    let news: BTreeMap<&str, &Value> = new.iter().map(|(step, value)| (step.as_str(), *value)).collect();
    let both = |step: &str, value: &Value| match olds.get(step) {
        Some(Some(old)) => merge(node, old, value),
        _ => value.clone(),
    };
    let mut shared = new.iter().map(|(step, _)| step.as_str()).filter(|step| olds.contains_key(step));
    let mut next_shared = shared.next();
    let mut merged = Vec::with_capacity(old.len().max(new.len()));
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let (mut left, mut right) = (0, 0);
    while left < old.len() || right < new.len() {
        if let (Some((a, _)), Some((b, value))) = (old.get(left), new.get(right)) {
            if a == b {
                merged.push(both(b, value));
                done.insert(b.as_str());
                left += 1;
                right += 1;
                next_shared = shared.next();
                continue;
            }
            if news.contains_key(a.as_str()) && next_shared.is_some_and(|next| next != a) {
                left += 1;
                continue;
            }
        }
        if let Some((step, value)) = old.get(left) {
            if !news.contains_key(step.as_str()) {
                merged.push((*value).clone());
                left += 1;
                continue;
            }
            if done.contains(step.as_str()) {
                left += 1;
            }
        }
        if let Some((step, value)) = new.get(right) {
            merged.push(both(step, value));
            done.insert(step.as_str());
            right += 1;
            if next_shared == Some(step.as_str()) {
                next_shared = shared.next();
            }
        }
    }
    merged
}

/// The object without the members of a set. What is emptied by that stays as an empty object or list (as in
/// structured-merge-diff 6.3.2); a whole object of which nothing is left is null.
pub fn remove(node: Node<'_>, value: &Value, gone: &FieldSet) -> Value {
    match node.resolved(value) {
        Node::Scalar(_) | Node::Atomic(_) | Node::Free => value.clone(),
        node @ (Node::Object(_) | Node::Struct(..) | Node::Map(_)) => {
            let mut left = Map::new();
            for (key, value) in entries(value) {
                let kept = match gone.child(&format!("f:{key}")) {
                    Some(gone) if gone.member => continue,
                    Some(gone) => remove_below(node.below(key).0, value, gone),
                    None => value.clone(),
                };
                left.insert(key.clone(), kept);
            }
            if left.is_empty() { Value::Null } else { Value::Object(left) }
        }
        Node::List(element, keys) => {
            let mut left = Vec::new();
            for value in items(value) {
                let step = element_step(element, keys, value).unwrap_or_default();
                left.push(match gone.child(&step) {
                    Some(gone) if gone.member => continue,
                    Some(gone) => remove_below(Node::of_elem(element), value, gone),
                    None => value.clone(),
                });
            }
            if left.is_empty() { Value::Null } else { Value::Array(left) }
        }
    }
}

fn remove_below(node: Node<'_>, value: &Value, gone: &FieldSet) -> Value {
    match (remove(node, value, gone), value) {
        (Value::Null, Value::Object(_)) => Value::Object(Map::new()),
        (Value::Null, Value::Array(_)) => Value::Array(Vec::new()),
        (left, _) => left,
    }
}

/// The set with every field of a type that leads to a member.
pub fn with_named_fields(node: Node<'_>, set: &FieldSet) -> FieldSet {
    let mut all = FieldSet { member: set.member, children: Vec::with_capacity(set.children.len()) };
    for (step, below) in &set.children {
        let (node, named) = node.below_step(step);
        let mut below = with_named_fields(node, below);
        below.member |= named;
        all.children.push((step.clone(), below));
    }
    all
}
