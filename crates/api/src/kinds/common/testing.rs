//! How tests bring objects before the rules of their kind.

use serde_json::Value;

use crate::field::FieldErrors;
use crate::kind::{Kind, Part, Rules, Scope};
use crate::kinds::common::walk::{default, ensure};
use crate::{meta, schema};

const RULES: Rules<'static> =
    Rules { now: "2026-01-01T00:00:00Z", user: "u", groups: &[], uid: "", extra: None };

/// The object as a create would store it, before it is checked.
pub fn made(kind: &dyn Kind, mut object: Value) -> Value {
    let metadata = ensure(&mut object, "metadata");
    default(metadata, "name", "x");
    if kind.info().scope == Scope::Namespaced {
        default(metadata, "namespace", "n");
    }
    kind.set_defaults(&mut object);
    kind.prepare_create(&mut object, &RULES);
    schema::normalize(kind.info().type_id(), &mut object);
    object
}

/// The object as an update would store it, before it is checked.
pub fn changed(kind: &dyn Kind, old: &Value, part: Part, change: impl FnOnce(&mut Value)) -> Value {
    let mut new = old.clone();
    change(&mut new);
    kind.set_defaults(&mut new);
    kind.prepare_update(&mut new, old, part, &RULES);
    schema::normalize(kind.info().type_id(), &mut new);
    new
}

fn texts(errors: &FieldErrors) -> Vec<String> {
    errors.0.iter().map(ToString::to_string).collect()
}

/// What is wrong with a new object.
pub fn faults(kind: &dyn Kind, object: Value) -> Vec<String> {
    texts(&meta::check_create(kind, &made(kind, object)))
}

/// What is wrong with an update of an object.
pub fn update_faults(
    kind: &dyn Kind,
    old: Value,
    part: Part,
    change: impl FnOnce(&mut Value),
) -> Vec<String> {
    let mut old = made(kind, old);
    old["metadata"]["resourceVersion"] = "1".into();
    let new = changed(kind, &old, part, change);
    texts(&meta::check_update(kind, &new, &old, part))
}
