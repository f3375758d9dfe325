//! Bodies of requests: what they say they are, and how they are refused.

use serde_json::Value;

use super::decode::{DecodeError, Decoded, Strictness, check_value, is_options, parse_json};
use super::types::TypeId;
use crate::status::Status;

/// Upstream looks for apiVersion and kind before anything else.
const JSON_FAULT: &str = "couldn't get version/kind; json parse error: ";

/// Decodes a body of a request as a type of the table. apiVersion and kind may be left out, and are filled in.
///
/// # Errors
/// 400 `BadRequest` with the whole message: what [`DecodeError::into_status`] makes, and for bodies that are no
/// objects, or of another kind than expected.
pub fn decode_json(of: TypeId, bytes: &[u8], strictness: Strictness) -> Result<Decoded, Status> {
    let decoded = parse_json(of, bytes, strictness);
    let fault = match &decoded {
        Err(DecodeError::Malformed(words)) if is_syntax(bytes) => Some(format!("{JSON_FAULT}{words}")),
        _ => not_a_kind(first_word(bytes)),
    };
    if let Some(words) = fault {
        return Err(unrecognized(of, &words, bytes));
    }
    let whole = || super::read_json(bytes).ok();
    settle(of, decoded, whole, |words| unrecognized(of, words, bytes))
}

/// The same for a value that is parsed already (YAML, calls in process).
///
/// # Errors
/// As [`decode_json`].
pub fn decode_value(of: TypeId, value: Value, strictness: Strictness) -> Result<Decoded, Status> {
    if let Some(words) = not_a_kind(word_of(&value)) {
        return Err(unrecognized(of, &words, value.to_string().as_bytes()));
    }
    // Cloned only for a body that is refused anyway.
    let other = another_kind(of, &value["apiVersion"], &value["kind"]).then(|| value.clone());
    let text = other.as_ref().map(Value::to_string).unwrap_or_default();
    let decoded = check_value(of, value, strictness);
    settle(of, decoded, || other, |words| unrecognized(of, words, text.as_bytes()))
}

pub(crate) fn unrecognized(of: TypeId, words: &str, bytes: &[u8]) -> Status {
    unrecognized_kind(of.gvk().map_or(of.short_name(), |(.., kind)| kind), words, bytes)
}

/// 400 for a body that doesn't say what it is, or isn't what was expected.
pub fn unrecognized_kind(expected: &str, words: &str, bytes: &[u8]) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {expected}): {words} ({})",
        summary(bytes)
    ))
}

/// Looks at what the body says it is. `again` gives the whole body, for when it is something else.
fn settle(
    of: TypeId,
    decoded: Result<Decoded, DecodeError>,
    again: impl FnOnce() -> Option<Value>,
    unrecognized: impl FnOnce(&str) -> Status,
) -> Result<Decoded, Status> {
    let (Some((group, version, kind)), Some(_)) = (of.gvk(), of.field("kind")) else {
        return decoded.map_err(|error| error.into_status(of));
    };
    let refuse = |whole: Option<Value>, error: Option<DecodeError>| {
        let given = whole.as_ref().and_then(|whole| whole["apiVersion"].as_str()).unwrap_or_default();
        if given.matches('/').count() > 1 {
            return unrecognized(&format!("unexpected GroupVersion string: {given}"));
        }
        for field in ["apiVersion", "kind"] {
            let value = whole.as_ref().map_or(&Value::Null, |whole| &whole[field]);
            if !value.is_null() && !value.is_string() {
                let word = if value.is_object() { "object" } else { word_of(value) };
                return unrecognized(&format!(
                    "{JSON_FAULT}json: cannot unmarshal {word} into Go struct field .{field} of type string"
                ));
            }
        }
        other_kind(of, whole)
            .or_else(|| error.map(|error| error.into_status(of)))
            .unwrap_or_else(|| Status::bad_request("the object provided is of another kind than expected"))
    };
    let mut decoded = match decoded {
        Ok(decoded) => decoded,
        // The error may be one of the expected type only.
        Err(error) => return Err(refuse(again(), Some(error))),
    };
    let Some(object) = decoded.value.as_object_mut() else { return Ok(decoded) };
    let missing = |object: &serde_json::Map<String, Value>, key: &str| {
        object.get(key).and_then(Value::as_str).unwrap_or_default().is_empty()
    };
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    if missing(object, "apiVersion") {
        object.insert("apiVersion".into(), api_version.into());
    }
    if missing(object, "kind") {
        object.insert("kind".into(), kind.into());
    }
    if another_kind(of, &object["apiVersion"], &object["kind"]) {
        return Err(refuse(again(), None));
    }
    Ok(decoded)
}

/// Whether the body names another kind than the expected one. Options are known to every group.
fn another_kind(of: TypeId, api_version: &Value, kind: &Value) -> bool {
    let Some((group, version, expected)) = of.gvk() else { return false };
    let (given_group, given_version) = split(api_version.as_str().unwrap_or_default());
    let given_kind = kind.as_str().unwrap_or_default();
    let same_kind = given_kind.is_empty() || given_kind == expected;
    let same_version = given_version.is_empty() || (given_group, given_version) == (group, version);
    !(same_kind && (same_version || is_options(of)))
}

fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// What upstream says of a body of another kind, where it is one.
fn other_kind(of: TypeId, whole: Option<Value>) -> Option<Status> {
    let whole = whole?;
    if !another_kind(of, &whole["apiVersion"], &whole["kind"]) {
        return None;
    }
    let (group, version, kind) = of.gvk()?;
    let api_version = whole["apiVersion"].as_str().filter(|text| !text.is_empty());
    let (given_group, given_version) = api_version.map_or((group, version), split);
    let given_kind = whole["kind"].as_str().filter(|text| !text.is_empty()).unwrap_or(kind);
    let words = match super::type_of(given_group, given_version, given_kind) {
        None => format!(
            "no kind \"{given_kind}\" is registered for version \"{}\" in scheme \
             \"pkg/api/legacyscheme/scheme.go:30\"",
            api_version.unwrap_or(given_version)
        ),
        Some(given) => match check_value(given, whole.clone(), Strictness::Ignore) {
            Err(error) => error.to_string(),
            Ok(_) if given_kind == kind && given_group == group => {
                let expected =
                    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
                return Some(Status::bad_request(format!(
                    "the API version in the data ({}) does not match the expected API version ({expected})",
                    api_version.unwrap_or_default()
                )));
            }
            Ok(_) => {
                let package = match group.split('.').next() {
                    None | Some("") => "core",
                    Some(first) => first,
                };
                format!(
                    "converting ({}) to ({package}.{kind}): unknown conversion",
                    super::go::object_name(given)
                )
            }
        },
    };
    Some(Status::bad_request(format!(
        "{given_kind} in version \"{given_version}\" cannot be handled as a {kind}: {words}"
    )))
}

/// Whether the bytes aren't JSON at all.
fn is_syntax(bytes: &[u8]) -> bool {
    super::read_json(bytes).is_err()
}

/// Go's word for the value that begins with the first byte.
fn first_word(bytes: &[u8]) -> &'static str {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'-' | b'0'..=b'9') => "number",
        _ => "",
    }
}

fn word_of(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Null | Value::Object(_) => "",
    }
}

/// Upstream looks for apiVersion and kind before anything else, in a struct of just these.
fn not_a_kind(word: &str) -> Option<String> {
    (!word.is_empty()).then(|| {
        format!(
            "{JSON_FAULT}json: cannot unmarshal {word} into Go value of type struct {{ APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
        )
    })
}

/// The beginning of a body, as it stands in messages: 30 bytes, as text or in hexadecimal digits.
fn summary(bytes: &[u8]) -> String {
    const BYTES_MAX: usize = 30;
    let start = &bytes[..bytes.len().min(BYTES_MAX)];
    let more = if bytes.len() > BYTES_MAX { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => {
            let digits: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digits}{more}")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::type_of;

    fn refused(text: &str) -> String {
        let config_map = type_of("", "v1", "ConfigMap").expect("a known kind");
        decode_json(config_map, text.as_bytes(), Strictness::Strict)
            .expect_err("refused")
            .message()
            .to_owned()
    }

    #[test]
    fn kind_and_version_are_filled_in() {
        let config_map = type_of("", "v1", "ConfigMap").expect("a known kind");
        for text in ["null", "{}", r#"{"kind": "ConfigMap", "apiVersion": ""}"#] {
            let decoded = decode_json(config_map, text.as_bytes(), Strictness::Strict).expect("decoded");
            assert_eq!(decoded.value, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}));
        }
    }

    #[test]
    fn bodies_that_are_no_objects_are_summarized() {
        let start = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; \
                     json parse error: ";
        assert_eq!(refused(""), format!("{start}unexpected end of JSON input (<empty>)"));
        assert_eq!(
            refused(r#"{"apiVersion":"v1","kind":"ConfigMap",}"#),
            format!(
                "{start}invalid character '}}' looking for beginning of object key string \
                 ({{\"apiVersion\":\"v1\",\"kind\":\"Con ...)"
            )
        );
        assert!(refused("[]").ends_with(r#"Kind string "json:\"kind,omitempty\"" } (5b5d)"#));
    }

    #[test]
    fn other_kinds_are_refused() {
        assert_eq!(
            refused(r#"{"apiVersion": "v1", "kind": "Secret"}"#),
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to \
             (core.ConfigMap): unknown conversion"
        );
        assert_eq!(
            refused(r#"{"apiVersion": "v1", "kind": "Thing"}"#),
            "Thing in version \"v1\" cannot be handled as a ConfigMap: no kind \"Thing\" is registered for \
             version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""
        );
        assert!(refused(r#"{"kind": 5}"#).contains(
            "json parse error: json: cannot unmarshal number into Go struct field .kind of type string ({"
        ));
        assert!(refused(r#"{"apiVersion": "a/b/c"}"#).contains("): unexpected GroupVersion string: a/b/c ("));
    }

    #[test]
    fn options_are_known_to_every_group() {
        let options = type_of("apps", "v1", "DeleteOptions").expect("a known kind");
        let text = r#"{"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}"#;
        let decoded = decode_json(options, text.as_bytes(), Strictness::Strict).expect("decoded");
        assert_eq!(decoded.value["gracePeriodSeconds"], 0);
        let error = decode_json(options, br#"{"gracePeriodSeconds": "x"}"#, Strictness::Strict);
        assert_eq!(
            error.expect_err("refused").message(),
            "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64"
        );
    }
}
