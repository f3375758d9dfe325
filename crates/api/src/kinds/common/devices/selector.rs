//! Expressions in CEL that choose devices.

use serde_json::Value;

use super::few;
use crate::devices::Selector;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{self, get, text};

/// Most selectors of a class or a request.
const SELECTORS_MAX: usize = 32;
/// Longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 10 * 1024;

/// `selectors` of a class or a request. Expressions that are stored already were valid then.
pub fn list(errors: &mut FieldErrors, path: &Path<'_>, of: &Value, stored: bool) {
    let (path, all) = (path.child("selectors"), walk::list(of, "selectors"));
    if !few(errors, &path, all, SELECTORS_MAX) {
        return;
    }
    for (at, selector) in all.iter().enumerate() {
        let path = path.index(at);
        let path = path.child("cel");
        match get(selector, "cel") {
            None => errors.required(&path, ""),
            Some(_) if stored => {}
            Some(cel) => expression(errors, &path.child("expression"), text(cel, "expression")),
        }
    }
}

fn expression(errors: &mut FieldErrors, path: &Path<'_>, expression: &str) {
    if expression.len() > EXPRESSION_BYTES_MAX {
        errors.too_long(path, EXPRESSION_BYTES_MAX);
    } else if let Err(error) = Selector::compile(expression) {
        check::bad_text(errors, path, expression, error);
    }
}
