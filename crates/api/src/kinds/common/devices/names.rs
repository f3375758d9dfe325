//! Names of pools, attributes, nodes and shares, and the two lists of conditions for binding.

use serde_json::Value;

use super::few;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::walk::{list, texts};
use crate::kinds::common::{check, csi};
use crate::meta::names;

/// Longest name of a pool, in bytes: that of a node.
const POOL_BYTES_MAX: usize = 253;
/// Longest identifier of an attribute or capacity, without its domain, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 32;
/// Longest key of an attribute or capacity that a path shows whole, in bytes.
const KEY_SHOWN_BYTES_MAX: usize = 63 + 1 + IDENTIFIER_BYTES_MAX;
/// Most conditions that have to be true, and most of which none may be, before a pod is bound.
const CONDITIONS_MAX: usize = 4;

/// The name of a pool: subdomains between slashes.
pub fn pool_name(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    if name.len() > POOL_BYTES_MAX {
        errors.too_long(path, POOL_BYTES_MAX);
    }
    for part in name.split('/') {
        check::subdomain(errors, path, part);
    }
}

/// The name of a node.
pub fn node_name(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    check::subdomain(errors, path, name);
}

/// The name of an attribute or a capacity: an identifier, with a domain before it or without.
pub fn qualified(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    match name.split('/').collect::<Vec<_>>()[..] {
        [plain] => identifier(errors, path, plain),
        [domain, plain] => {
            if domain.is_empty() {
                check::bad_text(errors, path, "", "the domain must not be empty");
            } else {
                csi::driver_name(errors, path, domain);
            }
            if plain.is_empty() {
                check::bad_text(errors, path, "", "the name must not be empty");
            } else {
                identifier(errors, path, plain);
            }
        }
        // Upstream looks at no name of more than two parts.
        _ => {}
    }
}

/// The same where there has to be a domain.
pub fn fully_qualified(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    qualified(errors, path, name);
    if !name.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        check::bad_text(errors, path, name, detail);
    }
}

fn identifier(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    if name.len() > IDENTIFIER_BYTES_MAX {
        errors.too_long(path, IDENTIFIER_BYTES_MAX);
    }
    check::messages(errors, path, name, names::c_identifier(name));
}

/// A key as paths show it: the middle of a long one is left out.
pub fn key_place(key: &str) -> String {
    if key.len() <= KEY_SHOWN_BYTES_MAX {
        return key.to_owned();
    }
    let kept = KEY_SHOWN_BYTES_MAX - "...".len();
    let (head, tail) = (kept.div_ceil(2), key.len() - kept / 2);
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}...{}", part(&key.as_bytes()[..head]), part(&key.as_bytes()[tail..]))
}

/// The identity of a share of a device: a UUID in its usual form.
pub fn uid(errors: &mut FieldErrors, path: &Path<'_>, text: &str) {
    // Google's reader takes the bare digits, the usual form, braces around that, and `urn:uuid:` before it.
    let inner = match text.len() {
        45 => text.get(..9).filter(|prefix| prefix.eq_ignore_ascii_case("urn:uuid:")).map(|_| &text[9..]),
        38 => text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')),
        32 | 36 => Some(text),
        length => {
            let detail = format!("error validating uid: invalid UUID length: {length}");
            return check::bad_text(errors, path, text, detail);
        }
    };
    let form = inner.is_some_and(|inner| {
        inner.len() == 32 || [8, 13, 18, 23].into_iter().all(|at| inner.as_bytes().get(at) == Some(&b'-'))
    });
    let digits = inner.unwrap_or_default().bytes().filter(u8::is_ascii_hexdigit).count() == 32;
    if !form || !digits {
        let detail = match inner {
            None if text.len() == 45 => format!("invalid urn prefix: {}", crate::field::quote(&text[..9])),
            None => "invalid bracketed UUID format".to_owned(),
            Some(_) => "invalid UUID format".to_owned(),
        };
        return check::bad_text(errors, path, text, format!("error validating uid: {detail}"));
    }
    if text.len() != 36 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let detail = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
        check::bad_text(errors, path, text, detail);
    }
}

/// `bindingConditions` and `bindingFailureConditions` of a device: both or neither. KEP-5007.
pub fn bindings(errors: &mut FieldErrors, path: &Path<'_>, device: &Value) {
    let (wanted, failed) = ("bindingConditions", "bindingFailureConditions");
    for key in [wanted, failed] {
        let path = path.child(key);
        if few(errors, &path, list(device, key), CONDITIONS_MAX) {
            for (at, name) in texts(device, key).enumerate() {
                check::qualified(errors, &path.index(at), name);
            }
        }
    }
    for key in [wanted, failed] {
        let path = path.child(key);
        for (at, name) in texts(device, key).enumerate() {
            if texts(device, key).take(at).any(|earlier| earlier == name) {
                errors.duplicate(&path.index(at), &name.into());
            }
            if key == failed && texts(device, wanted).any(|other| other == name) {
                let detail = "bindingFailureConditions must not overlap with bindingConditions";
                check::bad_text(errors, &path.index(at), name, detail);
            }
        }
    }
    let (some_wanted, some_failed) = (!list(device, wanted).is_empty(), !list(device, failed).is_empty());
    let missing = match (some_wanted, some_failed) {
        (false, true) => Some((wanted, failed)),
        (true, false) => Some((failed, wanted)),
        _ => None,
    };
    if let Some((missing, other)) = missing {
        let detail = format!("{missing} are required to use {other}");
        errors.invalid(&path.child(missing), &device[missing], detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(check: impl Fn(&mut FieldErrors, &Path<'_>)) -> Vec<String> {
        let mut errors = FieldErrors::new();
        check(&mut errors, &Path::new("f"));
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_of_attributes() {
        let long = "x".repeat(33);
        for (name, faults) in [
            ("model", 0),
            ("d.example.com/model", 0),
            ("a/b/c", 0),
            ("", 1),
            ("/x", 1),
            ("d.example.com/", 1),
            ("d.example.com/no-dash", 1),
            (&long, 1),
        ] {
            assert_eq!(found(|errors, path| qualified(errors, path, name)).len(), faults, "{name}");
        }
        assert_eq!(
            found(|errors, path| fully_qualified(errors, path, "model")),
            [
                "f: Invalid value: \"model\": a fully qualified name must be a domain and a name separated by a slash"
            ]
        );
    }

    #[test]
    fn names_of_pools_are_subdomains_between_slashes() {
        for (name, faults) in [("node-1", 0), ("a/b.c", 0), ("", 1), ("a//b", 1), ("A", 1)] {
            assert_eq!(found(|errors, path| pool_name(errors, path, name)).len(), faults, "{name}");
        }
    }

    #[test]
    fn shares_are_uuids() {
        for (text, expected) in [
            ("11111111-2222-3333-4444-abcdefabcdef", None),
            ("x", Some("error validating uid: invalid UUID length: 1")),
            ("11111111x2222-3333-4444-abcdefabcdef", Some("error validating uid: invalid UUID format")),
            ("11111111-2222-3333-4444-ABCDEFABCDEF", Some("uid must be in RFC 4122 normalized form")),
            ("{11111111-2222-3333-4444-abcdefabcdef}", Some("uid must be in RFC 4122 normalized form")),
            ("(11111111-2222-3333-4444-abcdefabcdef)", Some("invalid bracketed UUID format")),
        ] {
            let found = found(|errors, path| uid(errors, path, text));
            match expected {
                None => assert!(found.is_empty(), "{found:?}"),
                Some(words) => assert!(found[0].contains(words), "{found:?}"),
            }
        }
    }

    #[test]
    fn conditions_for_binding_come_in_two_lists() {
        let device = json!({"bindingConditions": ["a", "a"], "bindingFailureConditions": ["b", "a"]});
        assert_eq!(
            found(|errors, path| bindings(errors, path, &device)),
            [
                "f.bindingConditions[1]: Duplicate value: \"a\"",
                "f.bindingFailureConditions[1]: Invalid value: \"a\": bindingFailureConditions must not overlap with bindingConditions",
            ]
        );
        assert_eq!(
            found(|errors, path| bindings(errors, path, &json!({"bindingConditions": ["a"]}))),
            [
                "f.bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions"
            ]
        );
    }

    #[test]
    fn long_keys_lose_their_middle() {
        assert_eq!(key_place("short"), "short");
        let shown = key_place(&format!("{}{}", "a".repeat(60), "b".repeat(60)));
        assert_eq!(shown, format!("{}...{}", "a".repeat(47), "b".repeat(46)));
    }
}
