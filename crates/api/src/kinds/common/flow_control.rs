//! What both kinds of `flowcontrol.apiserver.k8s.io` share.

use serde_json::Value;

use super::walk::{list, text};
use crate::field::{FieldErrors, Path};
use crate::kind::{Part, Subresource, Unowned};

/// The `status` subresource of a kind.
pub const fn status(kind: &'static str) -> Subresource {
    Subresource { name: "status", kind, group: "", version: "", verbs: &["get", "patch", "update"] }
}

/// What a write doesn't own.
pub fn unowned(part: Part) -> Unowned {
    match part {
        Part::Status => Unowned::Listed(&[&["metadata"], &["spec"]]),
        _ => Unowned::Listed(&[&["status"]]),
    }
}

/// Conditions have types, each its own. Nothing else of them is checked.
pub fn conditions(errors: &mut FieldErrors, status: &Value) {
    let root = Path::new("status.conditions");
    let conditions = list(status, "conditions");
    for (index, condition) in conditions.iter().enumerate() {
        let place = root.index(index);
        let path = place.child("type");
        let kind = text(condition, "type");
        if conditions[..index].iter().any(|other| text(other, "type") == kind) {
            errors.duplicate(&path, &kind.into());
        }
        if kind.is_empty() {
            errors.required(&path, "must not be empty");
        }
    }
}
