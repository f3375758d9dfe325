//! Attributes of devices: one value of one sort.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{get, text_ptr};
use crate::kinds::pod::internal;

/// Longest text and longest version, in bytes.
const VALUE_BYTES_MAX: usize = 64;

/// Checks an attribute.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, attribute: &Value) {
    if text_ptr(attribute, "string").is_some_and(|text| text.len() > VALUE_BYTES_MAX) {
        errors.too_long(&path.child("string"), VALUE_BYTES_MAX);
    }
    if let Some(version) = text_ptr(attribute, "version") {
        let path = path.child("version");
        if !is_semantic(version) {
            let detail = "must be a string compatible with semver.org spec 2.0.0";
            check::bad_text(errors, &path, version, detail);
        }
        if version.len() > VALUE_BYTES_MAX {
            errors.too_long(&path, VALUE_BYTES_MAX);
        }
    }
    let said = ["bool", "int", "string", "version"].iter().filter(|key| get(attribute, key).is_some());
    let detail = "exactly one value must be specified";
    match said.count() {
        0 => check::bad_text(errors, path, "", detail),
        1 => {}
        _ => errors.invalid_shown(path, internal::json("DeviceAttribute", attribute), detail),
    }
}

/// Whether a text is a version of <https://semver.org/spec/v2.0.0.html>.
fn is_semantic(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, early) = rest.split_once('-').map_or((rest, None), |(core, early)| (core, Some(early)));
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| !part.is_empty() && digits(part) && (part.len() == 1 || !part.starts_with('0'));
    let parts: Vec<&str> = core.split('.').collect();
    parts.len() == 3
        && parts.into_iter().all(number)
        && early
            .is_none_or(|early| early.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}

#[cfg(test)]
mod tests {
    use super::is_semantic;

    #[test]
    fn versions() {
        for (text, good) in [
            ("1.2.3", true),
            ("0.0.0", true),
            ("1.2.3-alpha.1+build.007", true),
            ("1.2.3+a-b", true),
            ("1.2.3-0a", true),
            ("1.2", false),
            ("1.2.3.4", false),
            ("v1.2.3", false),
            ("01.2.3", false),
            ("1.2.3-", false),
            ("1.2.3-01", false),
            ("1.2.3+", false),
            ("1.2.3+a+b", false),
            ("", false),
        ] {
            assert_eq!(is_semantic(text), good, "{text}");
        }
    }
}
