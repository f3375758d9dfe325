//! `metav1.Condition` in a status.

use serde_json::Value;

use super::check;
use super::walk::{get, int, list, text};
use crate::field::{FieldErrors, Path};
use crate::meta::names;

const REASON_BYTES_MAX: usize = 1024;
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// Checks the conditions of a status; `path` is theirs.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, status: &Value) {
    let conditions = list(status, "conditions");
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        let kind = text(condition, "type");
        if conditions[..index].iter().any(|other| text(other, "type") == kind) {
            errors.duplicate(&path.child("type"), &kind.into());
        }
        check::qualified(errors, &path.child("type"), kind);
        check::one_of(
            errors,
            &path.child("status"),
            text(condition, "status"),
            &["False", "True", "Unknown"],
        );
        let generation = int(condition, "observedGeneration");
        if generation < 0 {
            let detail = "must be greater than or equal to zero";
            errors.invalid(&path.child("observedGeneration"), &generation.into(), detail);
        }
        if get(condition, "lastTransitionTime").is_none() {
            errors.required(&path.child("lastTransitionTime"), "");
        }
        reason(errors, &path.child("reason"), text(condition, "reason"));
        if text(condition, "message").len() > MESSAGE_BYTES_MAX {
            errors.too_long(&path.child("message"), MESSAGE_BYTES_MAX);
        }
    }
}

fn reason(errors: &mut FieldErrors, path: &Path<'_>, reason: &str) {
    let (Some(first), Some(last)) = (reason.bytes().next(), reason.bytes().last()) else {
        return errors.required(path, "");
    };
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_,:".contains(&byte);
    let good_ends = first.is_ascii_alphabetic() && (last.is_ascii_alphanumeric() || last == b'_');
    if !good_ends || !reason.bytes().all(inner) {
        let message = names::pattern_message(
            "a condition reason must start with alphabetic character, optionally followed by a string of \
             alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
            "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
            &["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"],
        );
        errors.invalid(path, &reason.into(), message);
    }
    if reason.len() > REASON_BYTES_MAX {
        errors.too_long(path, REASON_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults_of_conditions() {
        let status = json!({"conditions": [
            {"type": "A", "status": "True", "reason": "Why_Not", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "A", "status": "maybe", "reason": "x y", "observedGeneration": -1}]});
        let mut errors = FieldErrors::new();
        validate(&mut errors, &Path::new("c"), &status);
        let fields: Vec<&str> = errors.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            ["c[1].type", "c[1].status", "c[1].observedGeneration", "c[1].lastTransitionTime", "c[1].reason"]
        );
    }
}
