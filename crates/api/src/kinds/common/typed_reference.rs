//! References to objects of any kind in the same namespace (`TypedLocalObjectReference`).

use serde_json::Value;

use super::check::{messages, subdomain};
use super::walk::{text, text_ptr};
use crate::field::{FieldErrors, Path};
use crate::meta::names;

/// Checks a reference.
pub fn check(errors: &mut FieldErrors, path: &Path<'_>, reference: &Value) {
    if let Some(group) = text_ptr(reference, "apiGroup") {
        subdomain(errors, &path.child("apiGroup"), group);
    }
    for key in ["kind", "name"] {
        match text(reference, key) {
            "" => errors.required(&path.child(key), format!("{key} is required")),
            word => messages(errors, &path.child(key), word, names::path_segment(word)),
        }
    }
}
