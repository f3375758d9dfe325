//! Parameters for drivers, which nobody else reads.

use serde_json::Value;

use super::claim::RequestNames;
use super::{CONFIG_MAX, few, references};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::walk::{get, list, same, text};
use crate::kinds::common::{check, csi};

/// Longest parameters, in bytes of JSON.
const PARAMETERS_BYTES_MAX: usize = 10 * 1024;

/// `config` of a class. What was there before may be longer than what is new.
pub fn of_class(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, old: Option<&Value>) {
    let stored = old.is_some_and(|old| same(get(spec, "config"), get(old, "config")));
    let (path, all) = (path.child("config"), list(spec, "config"));
    if few(errors, &path, all, CONFIG_MAX) {
        for (at, config) in all.iter().enumerate() {
            opaque(errors, &path.index(at), config, stored);
        }
    }
}

/// `config` of a claim.
pub fn of_claim(errors: &mut FieldErrors, path: &Path<'_>, claim: &Value, known: &RequestNames<'_>) {
    let (path, all) = (path.child("config"), list(claim, "config"));
    if few(errors, &path, all, CONFIG_MAX) {
        for (at, config) in all.iter().enumerate() {
            let path = path.index(at);
            references(errors, &path, config, known);
            opaque(errors, &path, config, false);
        }
    }
}

/// `config` of what a claim was given: of its classes and its own.
pub fn allocated(errors: &mut FieldErrors, path: &Path<'_>, allocation: &Value, known: &RequestNames<'_>) {
    let (path, all) = (path.child("config"), list(allocation, "config"));
    if few(errors, &path, all, 2 * CONFIG_MAX) {
        for (at, config) in all.iter().enumerate() {
            let path = path.index(at);
            let source = text(config, "source");
            check::required_one_of(errors, &path.child("source"), source, &["FromClaim", "FromClass"]);
            references(errors, &path, config, known);
            opaque(errors, &path, config, false);
        }
    }
}

fn opaque(errors: &mut FieldErrors, path: &Path<'_>, config: &Value, stored: bool) {
    let path = path.child("opaque");
    let Some(opaque) = get(config, "opaque") else { return errors.required(&path, "") };
    csi::driver_name(errors, &path.child("driver"), text(opaque, "driver"));
    let most = if stored { usize::MAX } else { PARAMETERS_BYTES_MAX };
    raw(errors, &path.child("parameters"), get(opaque, "parameters"), most);
}

/// Any JSON object, as long as it isn't too long.
pub fn raw(errors: &mut FieldErrors, path: &Path<'_>, value: Option<&Value>, bytes_max: usize) {
    match value {
        None => errors.required(path, ""),
        Some(value) if value.to_string().len() > bytes_max => errors.too_long(path, bytes_max),
        Some(Value::Object(_)) => {}
        Some(_) => check::bad_text(errors, path, "<value omitted>", "must be a valid JSON object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_are_objects_of_some_bytes() {
        let long = json!({"x": "y".repeat(PARAMETERS_BYTES_MAX)});
        for (value, expected) in [
            (Some(json!({})), None),
            (None, Some("Required value")),
            (Some(json!([1])), Some("Invalid value: \"<value omitted>\": must be a valid JSON object")),
            (Some(long), Some("Too long: may not be more than 10240 bytes")),
        ] {
            let mut errors = FieldErrors::new();
            raw(&mut errors, &Path::new("p"), value.as_ref(), PARAMETERS_BYTES_MAX);
            let found = errors.0.first().map(ToString::to_string);
            assert_eq!(found, expected.map(|words| format!("p: {words}")));
        }
    }
}
