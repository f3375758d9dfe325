//! A domain, a slash and a path: `acme.io/foo`.

use super::check::messages;
use crate::field::{FieldErrors, Path};
use crate::meta::names;

/// Checks such a text.
pub fn check(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    if text.is_empty() {
        errors.required(path, "");
        return;
    }
    let (domain, rest) = match text.split_once('/') {
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => (domain, rest),
        _ => {
            errors.invalid(path, &text.into(), "must be a domain-prefixed path (such as \"acme.io/foo\")");
            return;
        }
    };
    messages(errors, path, domain, names::dns1123_subdomain(domain));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !rest.bytes().all(allowed) {
        let pattern = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
        errors.invalid(path, &rest.into(), names::pattern_message("Invalid path", pattern, &[]));
    }
}
