//! Taints of devices and what tolerates them. KEP-5055.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::text;
use crate::meta::names;

/// In the order of messages.
const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

/// Checks a taint.
pub fn taint(errors: &mut FieldErrors, path: &Path<'_>, taint: &Value) {
    check::qualified(errors, &path.child("key"), text(taint, "key"));
    value(errors, path, taint);
    check::required_one_of(errors, &path.child("effect"), text(taint, "effect"), &EFFECTS);
}

/// Checks a toleration.
pub fn toleration(errors: &mut FieldErrors, path: &Path<'_>, toleration: &Value) {
    let key = text(toleration, "key");
    if !key.is_empty() {
        check::qualified(errors, &path.child("key"), key);
    }
    match text(toleration, "operator") {
        "Exists" => {
            let given = text(toleration, "value");
            if !given.is_empty() {
                let detail = "must be empty for operator `Exists`";
                check::bad_text(errors, &path.child("value"), given, detail);
            }
        }
        "Equal" => value(errors, path, toleration),
        other => check::required_one_of(errors, &path.child("operator"), other, &["Equal", "Exists"]),
    }
    let effect = text(toleration, "effect");
    if !effect.is_empty() {
        check::one_of(errors, &path.child("effect"), effect, &EFFECTS);
    }
}

fn value(errors: &mut FieldErrors, path: &Path<'_>, of: &Value) {
    let value = text(of, "value");
    check::messages(errors, &path.child("value"), value, names::label_value(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults_of_tolerations() {
        for (given, expected) in [
            (json!({"operator": "Exists"}), vec![]),
            (json!({"operator": "Equal", "key": "a", "value": "b", "effect": "NoExecute"}), vec![]),
            (json!({"key": "a b", "operator": "Exists"}), vec!["t.key"]),
            (json!({"operator": "Exists", "value": "b"}), vec!["t.value"]),
            (json!({"operator": "Equal", "value": "b c"}), vec!["t.value"]),
            (json!({}), vec!["t.operator"]),
            (json!({"operator": "Is", "effect": "Never"}), vec!["t.operator", "t.effect"]),
        ] {
            let mut errors = FieldErrors::new();
            toleration(&mut errors, &Path::new("t"), &given);
            let fields: Vec<&str> = errors.0.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, expected, "{given}");
        }
    }

    #[test]
    fn faults_of_taints() {
        for (given, expected) in [
            (json!({"key": "a", "effect": "None"}), vec![]),
            (json!({}), vec!["t.key", "t.key", "t.effect"]),
            (json!({"key": "a", "value": "b c", "effect": "Now"}), vec!["t.value", "t.effect"]),
        ] {
            let mut errors = FieldErrors::new();
            taint(&mut errors, &Path::new("t"), &given);
            let fields: Vec<&str> = errors.0.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, expected, "{given}");
        }
    }
}
