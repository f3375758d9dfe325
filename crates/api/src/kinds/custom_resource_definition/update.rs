//! What an update of a definition may not change.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::bad_text;
use crate::kinds::common::walk::{list, text};

/// Whether the kind is served by these names.
fn is_established(object: &Value) -> bool {
    list(&object["status"], "conditions")
        .iter()
        .any(|condition| text(condition, "type") == "Established" && text(condition, "status") == "True")
}

/// Checks an update.
pub fn validate(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let spec = Path::new("spec");
    let names = spec.child("names");
    let (new_spec, old_spec) = (&new["spec"], &old["spec"]);
    let mut same = |path: &Path<'_>, new: &str, old: &str| {
        if new != old {
            bad_text(errors, path, new, "field is immutable");
        }
    };
    // These make the name of the definition itself.
    same(&spec.child("group"), text(new_spec, "group"), text(old_spec, "group"));
    same(&names.child("plural"), text(&new_spec["names"], "plural"), text(&old_spec["names"], "plural"));
    if is_established(old) {
        same(&spec.child("scope"), text(new_spec, "scope"), text(old_spec, "scope"));
        same(&names.child("kind"), text(&new_spec["names"], "kind"), text(&old_spec["names"], "kind"));
    }
}
