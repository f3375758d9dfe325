//! What becomes of an object, by what is known of its owners. Pure.
//! Source: <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>

use serde_json::Value;

/// The finalizer of a deletion that waits for dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of a deletion that leaves dependents alone.
pub(crate) const ORPHAN: &str = "orphan";

/// What is known of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It is there.
    Solid,
    /// It is being deleted and waits for its dependents.
    Waiting,
    /// It isn't there.
    Absent,
}

/// What to do with an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Keep,
    /// Some owners are gone or waiting, others are there: forget the former (their uids).
    Release(Vec<String>),
    /// No owner is left: delete it, with this propagation policy.
    Delete(&'static str),
}

pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Decides for an object that isn't being deleted; `owners` are those of its references, in order, by uid.
pub(crate) fn plan(object: &Value, owners: &[(String, Owner)], has_dependents: bool) -> Verdict {
    let with = |wanted: Owner| owners.iter().filter(move |(_, owner)| *owner == wanted);
    if owners.is_empty() {
        return Verdict::Keep;
    }
    if with(Owner::Solid).next().is_some() {
        let gone: Vec<String> =
            owners.iter().filter(|(_, owner)| *owner != Owner::Solid).map(|(uid, _)| uid.clone()).collect();
        return if gone.is_empty() { Verdict::Keep } else { Verdict::Release(gone) };
    }
    if with(Owner::Waiting).next().is_some() && has_dependents {
        return Verdict::Delete("Foreground");
    }
    let finalizers = finalizers(object);
    if finalizers.contains(&ORPHAN) {
        Verdict::Delete("Orphan")
    } else if finalizers.contains(&FOREGROUND) {
        Verdict::Delete("Foreground")
    } else {
        Verdict::Delete("Background")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_owner_takes_its_dependents_along() {
        let object = json!({"metadata": {}});
        let owner = |uid: &str, owner: Owner| (uid.to_owned(), owner);
        let cases = [
            (vec![], false, Verdict::Keep),
            (vec![owner("a", Owner::Solid)], false, Verdict::Keep),
            (vec![owner("a", Owner::Solid), owner("b", Owner::Absent)], false, Verdict::Release(vec!["b".into()])),
            (vec![owner("a", Owner::Absent)], true, Verdict::Delete("Background")),
            (vec![owner("a", Owner::Waiting)], true, Verdict::Delete("Foreground")),
            (vec![owner("a", Owner::Waiting)], false, Verdict::Delete("Background")),
        ];
        for (owners, dependents, expected) in cases {
            assert_eq!(plan(&object, &owners, dependents), expected, "{owners:?}");
        }
    }
}
