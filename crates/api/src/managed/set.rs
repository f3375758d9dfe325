//! Sets of fields, as trees. A step is written as `metav1.FieldsV1` writes it: `f:name`, `k:{"name":"a"}`,
//! `v:"text"`, `i:0`.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// A set of fields below a place, and whether the place itself belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Whether the place itself is a member (`.`).
    pub(super) member: bool,
    /// Steps below, in order, none of them leading to an empty set.
    pub(super) children: Vec<(String, FieldSet)>,
}

/// Why a tree isn't one of `FieldsV1`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a set of fields: {0}")]
pub struct FieldSetError(String);

impl FieldSet {
    /// The set of nothing but a place.
    pub(super) fn leaf() -> FieldSet {
        FieldSet { member: true, children: Vec::new() }
    }

    /// The set of one field, given by the names of its fields.
    pub(super) fn of_path(path: &[&str]) -> FieldSet {
        path.iter().rev().fold(FieldSet::leaf(), |below, name| FieldSet {
            member: false,
            children: vec![(format!("f:{name}"), below)],
        })
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Adds what is below a step that sorts behind all others so far; nothing is not added.
    pub(super) fn push(&mut self, step: String, below: FieldSet) {
        if !below.is_empty() {
            self.children.push((step, below));
        }
    }

    pub(super) fn child(&self, step: &str) -> Option<&FieldSet> {
        self.children
            .binary_search_by(|(known, _)| known.as_str().cmp(step))
            .ok()
            .map(|at| &self.children[at].1)
    }

    /// Whether the field of these names is a member.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        let end = path.iter().try_fold(self, |set, name| set.child(&format!("f:{name}")));
        end.is_some_and(|set| set.member)
    }

    /// Members of either.
    pub(super) fn union(self, other: FieldSet) -> FieldSet {
        let member = self.member || other.member;
        let mut children = Vec::with_capacity(self.children.len().max(other.children.len()));
        let (mut left, mut right) =
            (self.children.into_iter().peekable(), other.children.into_iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (Some((a, _)), Some((b, _))) => a.cmp(b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return FieldSet { member, children },
            };
            match order {
                Ordering::Less => children.extend(left.next()),
                Ordering::Greater => children.extend(right.next()),
                Ordering::Equal => {
                    if let (Some((step, a)), Some((_, b))) = (left.next(), right.next()) {
                        children.push((step, a.union(b)));
                    }
                }
            }
        }
    }

    /// Members of this set that aren't in the other.
    pub(super) fn difference(self, other: &FieldSet) -> FieldSet {
        if other.is_empty() {
            return self;
        }
        let mut set = FieldSet { member: self.member && !other.member, children: Vec::new() };
        for (step, below) in self.children {
            match other.child(&step) {
                Some(other) => set.push(step, below.difference(other)),
                None => set.children.push((step, below)),
            }
        }
        set
    }

    /// Members of both.
    pub(super) fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut set = FieldSet { member: self.member && other.member, children: Vec::new() };
        for (step, below) in &self.children {
            if let Some(other) = other.child(step) {
                set.push(step.clone(), below.intersection(other));
            }
        }
        set
    }

    /// Members of this set that are neither in the other nor below a member of it.
    pub(super) fn without_below(self, other: &FieldSet) -> FieldSet {
        let mut set = FieldSet { member: self.member && !other.member, children: Vec::new() };
        for (step, below) in self.children {
            match other.child(&step) {
                Some(other) if other.member => {}
                Some(other) => set.push(step, below.without_below(other)),
                None => set.children.push((step, below)),
            }
        }
        set
    }

    /// Calls `visit` for each member with the steps that lead there; members of a place before those below.
    pub(super) fn each<'a>(&'a self, path: &mut Vec<&'a str>, visit: &mut impl FnMut(&[&str])) {
        for (step, below) in &self.children {
            if below.member {
                path.push(step);
                visit(path);
                path.pop();
            }
        }
        for (step, below) in &self.children {
            path.push(step);
            below.each(path, visit);
            path.pop();
        }
    }

    /// Reads `fieldsV1`.
    ///
    /// # Errors
    /// Where a step is malformed.
    pub(super) fn of_value(value: &Value) -> Result<FieldSet, FieldSetError> {
        let mut set = FieldSet::default();
        let Value::Object(map) = value else {
            return if value.is_null() { Ok(set) } else { Err(FieldSetError(value.to_string())) };
        };
        for (step, below) in map {
            if step == "." {
                set.member = true;
                continue;
            }
            let mut child = FieldSet::of_value(below)?;
            child.member |= child.children.is_empty();
            set.children.push((canonical_step(step)?, child));
        }
        if !set.children.is_sorted_by(|(a, _), (b, _)| a < b) {
            set.children.sort_by(|(a, _), (b, _)| a.cmp(b));
            set.children.dedup_by(|(a, _), (b, _)| a == b);
        }
        Ok(set)
    }

    /// Writes `fieldsV1`.
    pub(super) fn into_value(self) -> Value {
        let mut map: Map<String, Value> = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        map.extend(self.children.into_iter().map(|(step, below)| (step, below.into_value())));
        Value::Object(map)
    }
}

fn canonical_step(step: &str) -> Result<String, FieldSetError> {
    let faulty = || FieldSetError(step.to_owned());
    let (kind, rest) = step.split_once(':').ok_or_else(faulty)?;
    match kind {
        "f" => Ok(step.to_owned()),
        "i" => rest.parse::<i64>().map(|_| step.to_owned()).map_err(|_| faulty()),
        "k" | "v" => {
            let value: Value = serde_json::from_str(rest).map_err(|_| faulty())?;
            if kind == "k" && !value.is_object() {
                return Err(faulty());
            }
            Ok(format!("{kind}:{value}"))
        }
        _ => Err(faulty()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(value: Value) -> FieldSet {
        FieldSet::of_value(&value).unwrap()
    }

    #[test]
    fn trees_are_read_and_written() {
        let value = json!({"f:a": {}, "f:b": {".": {}, "f:c": {}, "k:{\"name\":\"x\"}": {".": {}, "f:y": {}}}, "v:\"z\"": {}});
        assert_eq!(set(value.clone()).into_value(), value);
        assert_eq!(
            set(json!({"k:{\"b\": 1, \"a\": 2}": {}})).into_value(),
            json!({"k:{\"a\":2,\"b\":1}": {}})
        );
        for bad in [json!({"a": {}}), json!({"k:x": {}}), json!({"f:a": 1}), json!([])] {
            assert!(FieldSet::of_value(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn members_are_told_from_places_on_the_way() {
        let a = set(json!({"f:a": {".": {}, "f:b": {}}}));
        let b = set(json!({"f:a": {"f:b": {}}}));
        assert_eq!(a.clone().difference(&b), set(json!({"f:a": {}})));
        assert_eq!(a.intersection(&b), b);
        assert!(a.has(&["a"]) && !b.has(&["a"]) && b.has(&["a", "b"]));
        assert!(a.clone().without_below(&FieldSet::of_path(&["a"])).is_empty());
        assert_eq!(a.clone().without_below(&FieldSet::of_path(&["a", "b"])), set(json!({"f:a": {}})));
        let mut seen = Vec::new();
        set(json!({"f:a": {"f:b": {}}, "f:c": {}}))
            .each(&mut Vec::new(), &mut |path| seen.push(path.join("/")));
        assert_eq!(seen, ["f:c", "f:a/f:b"]);
    }

    fn sets() -> impl Strategy<Value = FieldSet> {
        prop::collection::vec(prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4), 0..6)
            .prop_map(|paths| {
                paths.iter().fold(FieldSet::default(), |set, path| set.union(FieldSet::of_path(path)))
            })
    }

    proptest! {
        #[test]
        fn algebra_holds(a in sets(), b in sets()) {
            prop_assert_eq!(a.clone().union(b.clone()), b.clone().union(a.clone()));
            prop_assert_eq!(a.clone().difference(&b).union(a.intersection(&b)), a.clone());
            prop_assert!(a.clone().difference(&b).intersection(&b).is_empty());
            prop_assert_eq!(set(a.clone().into_value()), a);
        }
    }
}
