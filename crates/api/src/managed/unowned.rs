//! Fields that a write can't change, and so does not own.

use super::compare::Comparison;
use super::set::FieldSet;
use crate::kind::Unowned;

/// The set without the fields that aren't owned.
pub fn owned(set: FieldSet, unowned: Unowned) -> FieldSet {
    match unowned {
        Unowned::Listed([]) => set,
        Unowned::Listed(paths) => {
            let gone =
                paths.iter().fold(FieldSet::default(), |gone, path| gone.union(FieldSet::of_path(path)));
            set.without_below(&gone)
        }
        Unowned::AllBut(paths) => only(set, paths),
    }
}

/// The same for what an update changes.
pub fn owned_changes(changes: Comparison, unowned: Unowned) -> Comparison {
    Comparison {
        added: owned(changes.added, unowned),
        modified: owned(changes.modified, unowned),
        removed: owned(changes.removed, unowned),
    }
}

fn only(set: FieldSet, paths: &[&'static [&'static str]]) -> FieldSet {
    let mut kept = FieldSet::default();
    for (step, below) in set.children {
        let rests: Vec<&[&str]> = paths
            .iter()
            .filter_map(|path| path.split_first())
            .filter(|(first, _)| **first == "*" || step.strip_prefix("f:") == Some(first))
            .map(|(_, rest)| rest)
            .collect();
        if rests.iter().any(|rest| rest.is_empty()) {
            kept.push(step, below);
        } else if !rests.is_empty() {
            let member = below.member;
            let below = only(below, &rests);
            kept.push(step, FieldSet { member, ..below });
        }
    }
    kept
}

/// Metadata that nobody owns: identity, and what the server alone writes.
const SERVERS: [&str; 9] = [
    "f:name",
    "f:namespace",
    "f:creationTimestamp",
    "f:selfLink",
    "f:uid",
    "f:clusterName",
    "f:generation",
    "f:managedFields",
    "f:resourceVersion",
];

/// Takes out of a set what nobody owns.
pub fn strip(set: &mut FieldSet) {
    set.children.retain_mut(|(step, below)| match step.as_str() {
        "f:apiVersion" | "f:kind" => false,
        "f:metadata" => {
            below.member = false;
            below.children.retain_mut(|(step, below)| {
                if SERVERS.contains(&step.as_str()) {
                    below.member = false;
                }
                !below.is_empty()
            });
            !below.is_empty()
        }
        _ => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn subresources_own_their_part() {
        let set = |value| FieldSet::of_value(&value).unwrap();
        let all = set(
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:resources": {"f:limits": {}}}}},
            "f:status": {"f:phase": {}}}),
        );
        let resize = Unowned::AllBut(&[&["spec", "containers", "*", "resources"]]);
        assert_eq!(
            owned(all.clone(), resize),
            set(
                json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:resources": {"f:limits": {}}}}}})
            )
        );
        assert_eq!(owned(all, Unowned::Listed(&[&["spec"]])), set(json!({"f:status": {"f:phase": {}}})));
    }

    #[test]
    fn identity_is_nobodys() {
        let mut set = FieldSet::of_value(
            &json!({"f:kind": {}, "f:metadata": {".": {}, "f:name": {}, "f:labels": {"f:a": {}}}}),
        )
        .unwrap();
        strip(&mut set);
        assert_eq!(set.into_value(), json!({"f:metadata": {"f:labels": {"f:a": {}}}}));
    }
}
