//! What ConfigMaps and Secrets share.

use serde_json::{Map, Value};

use super::walk::{flag, get, same};
use crate::field::{FieldErrors, Path};

/// All values of a ConfigMap or Secret together, decoded.
pub const BYTES_MAX: usize = 1024 * 1024;

/// The length of values in base64, decoded.
pub fn bytes(values: &Map<String, Value>) -> usize {
    let decoded =
        |text: &str| text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count();
    values.values().filter_map(Value::as_str).map(decoded).sum()
}

/// Where the old object is marked immutable, it stays that, and so do these fields.
pub fn keep_immutable(new: &Value, old: &Value, fields: &[&str], errors: &mut FieldErrors) {
    if !flag(old, "immutable") {
        return;
    }
    let detail = "field is immutable when `immutable` is set";
    if !flag(new, "immutable") {
        errors.forbidden(&Path::new("immutable"), detail);
    }
    for field in fields {
        if !same(get(new, field), get(old, field)) {
            errors.forbidden(&Path::new(field), detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn base64_is_counted_decoded() {
        let values = json!({"a": "", "b": "cA==", "c": "cGE=", "d": "cGFw"});
        assert_eq!(bytes(values.as_object().unwrap()), 6);
    }
}
