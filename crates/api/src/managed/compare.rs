//! What differs between two versions of an object, and which fields an object sets.

use std::cmp::Ordering;

use serde_json::Value;

use super::node::{Node, elements, entries, items};
use super::set::FieldSet;

/// The difference between two versions of an object.
#[derive(Debug, Default)]
pub struct Comparison {
    /// In the new one only.
    pub added: FieldSet,
    /// In both, with different values.
    pub modified: FieldSet,
    /// In the old one only.
    pub removed: FieldSet,
}

impl Comparison {
    fn push(&mut self, step: String, below: Comparison) {
        self.added.push(step.clone(), below.added);
        self.modified.push(step.clone(), below.modified);
        self.removed.push(step, below.removed);
    }
}

/// Compares two versions.
pub fn compare(node: Node<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    walk(node, old, new, &mut comparison);
    comparison
}

fn walk(node: Node<'_>, old: &Value, new: &Value, into: &mut Comparison) {
    if old == new {
        return;
    }
    match node.resolved(new) {
        Node::Scalar(_) | Node::Atomic(_) | Node::Free => into.modified.member = true,
        node @ (Node::Object(_) | Node::Struct(..) | Node::Map(_)) => {
            let (old, new) = (entries(old), entries(new));
            if old.is_empty() && new.is_empty() {
                // One is null and the other empty: that makes a difference.
                into.modified.member = true;
                return;
            }
            let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
            loop {
                let order = match (olds.peek(), news.peek()) {
                    (Some((a, _)), Some((b, _))) => a.cmp(b),
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (None, None) => break,
                };
                let old = if order.is_le() { olds.next() } else { None };
                let new = if order.is_ge() { news.next() } else { None };
                let Some((key, _)) = old.or(new) else { break };
                pair(
                    node.below(key).0,
                    || format!("f:{key}"),
                    old.map(|(_, v)| v),
                    new.map(|(_, v)| v),
                    into,
                );
            }
        }
        Node::List(element, keys) => {
            let (old, new) = (items(old), items(new));
            if old.is_empty() && new.is_empty() {
                into.modified.member = true;
                return;
            }
            let (old, new) = (elements(element, keys, old), elements(element, keys, new));
            let (mut olds, mut news) = (old.as_slice(), new.as_slice());
            while let Some(step) = match (olds.first(), news.first()) {
                (Some((a, _)), Some((b, _))) => Some(a.min(b).clone()),
                (one, other) => one.or(other).map(|(step, _)| step.clone()),
            } {
                let left = take_same(&mut olds, &step);
                let right = take_same(&mut news, &step);
                element_pair(Node::of_elem(element), step, left, right, into);
            }
        }
    }
}

fn take_same<'a, 'v>(list: &mut &'a [(String, &'v Value)], step: &str) -> &'a [(String, &'v Value)] {
    let count = list.iter().take_while(|(known, _)| known == step).count();
    let (same, rest) = list.split_at(count);
    *list = rest;
    same
}

fn pair(
    node: Node<'_>,
    step: impl FnOnce() -> String,
    old: Option<&Value>,
    new: Option<&Value>,
    into: &mut Comparison,
) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) => {
            let mut below = Comparison::default();
            walk(node, old, new, &mut below);
            into.push(step(), below);
        }
        (Some(old), None) => into.removed.push(step(), whole(node, old)),
        (None, Some(new)) => into.added.push(step(), whole(node, new)),
        (None, None) => {}
    }
}

/// Elements under one key; where there are several of a kind, they count as one big leaf.
fn element_pair(
    node: Node<'_>,
    step: String,
    old: &[(String, &Value)],
    new: &[(String, &Value)],
    into: &mut Comparison,
) {
    match (old, new) {
        ([] | [_], [] | [_]) => {
            pair(node, || step, old.first().map(|(_, v)| *v), new.first().map(|(_, v)| *v), into);
        }
        ([_, _, ..], [_, _, ..]) => {
            if !old.iter().map(|(_, v)| v).eq(new.iter().map(|(_, v)| v)) {
                into.modified.push(step, FieldSet::leaf());
            }
        }
        ([_, _, ..], _) => {
            if let Some((_, new)) = new.first() {
                into.added.push(step.clone(), whole(node, new));
            }
            into.removed.push(step, FieldSet::leaf());
        }
        (_, [_, _, ..]) => {
            if let Some((_, old)) = old.first() {
                into.removed.push(step.clone(), whole(node, old));
            }
            into.added.push(step, FieldSet::leaf());
        }
    }
}

/// Everything in a value that has come or gone as a whole, places on the way included.
fn whole(node: Node<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::leaf();
    match node.resolved(value) {
        Node::Scalar(_) | Node::Atomic(_) | Node::Free => {}
        node @ (Node::Object(_) | Node::Struct(..) | Node::Map(_)) => {
            for (key, value) in entries(value) {
                set.children.push((format!("f:{key}"), whole(node.below(key).0, value)));
            }
        }
        Node::List(element, keys) => {
            let elements = elements(element, keys, items(value));
            let mut rest = elements.as_slice();
            while let Some((step, value)) = rest.first() {
                let same = take_same(&mut rest, step);
                let below =
                    if same.len() > 1 { FieldSet::leaf() } else { whole(Node::of_elem(element), value) };
                set.children.push((step.clone(), below));
            }
        }
    }
    set
}

/// The fields that a configuration sets: leaves, list elements, and entries of maps.
pub fn fields_of(node: Node<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match node.resolved(value) {
        Node::Scalar(_) | Node::Atomic(_) | Node::Free => set.member = true,
        node @ (Node::Object(_) | Node::Struct(..) | Node::Map(_)) => {
            for (key, value) in entries(value) {
                let (node, known) = node.below(key);
                let mut below = fields_of(node, value);
                below.member |=
                    !known || value.is_null() || value.as_object().is_some_and(|map| map.is_empty());
                set.push(format!("f:{key}"), below);
            }
        }
        Node::List(element, keys) => {
            let elements = elements(element, keys, items(value));
            let mut rest = elements.as_slice();
            while let Some((step, value)) = rest.first() {
                let same = take_same(&mut rest, step);
                let mut below = if same.len() > 1 {
                    FieldSet::default()
                } else {
                    fields_of(Node::of_elem(element), value)
                };
                below.member = true;
                set.children.push((step.clone(), below));
            }
        }
    }
    set
}
