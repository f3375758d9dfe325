//! The names of a kind.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{text, texts};
use crate::meta::names::dns1035_label;

/// Upstream joins what is wrong with a name into one text.
fn label(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    let wrong = dns1035_label(name);
    if !wrong.is_empty() {
        check::bad_text(errors, path, name, wrong.join(","));
    }
}

/// A name that may have capitals.
fn mixed_label(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    let wrong = dns1035_label(&name.to_lowercase());
    if !wrong.is_empty() {
        let words = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
        check::bad_text(errors, path, name, words);
    }
}

/// Checks the names that are there.
pub fn validate(names: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    for key in ["plural", "singular"] {
        if !text(names, key).is_empty() {
            label(errors, &path.child(key), text(names, key));
        }
    }
    for key in ["kind", "listKind"] {
        if !text(names, key).is_empty() {
            mixed_label(errors, &path.child(key), text(names, key));
        }
    }
    for key in ["shortNames", "categories"] {
        let path = path.child(key);
        for (at, name) in texts(names, key).enumerate() {
            label(errors, &path.index(at), name);
        }
    }
    let kind = text(names, "kind");
    if !kind.is_empty() && kind == text(names, "listKind") {
        check::bad_text(errors, &path.child("listKind"), kind, "kind and listKind may not be the same");
    }
}
