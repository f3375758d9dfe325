//! References to objects of any kind in the same namespace (`TypedLocalObjectReference`).

use serde_json::Value;

use super::check::{messages, required, subdomain};
use super::walk::{text, text_ptr};
use crate::field::{FieldErrors, Path};
use crate::meta::names;

/// Checks a reference.
pub fn check(errors: &mut FieldErrors, path: &Path<'_>, reference: &Value) {
    if let Some(group) = text_ptr(reference, "apiGroup") {
        subdomain(errors, &path.child("apiGroup"), group);
    }
    for key in ["kind", "name"] {
        let word = text(reference, key);
        required(errors, &path.child(key), word);
        messages(errors, &path.child(key), word, names::path_segment(word));
    }
}
