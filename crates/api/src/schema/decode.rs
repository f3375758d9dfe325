//! From JSON to values, checked by the table on the way.

use serde_json::Value;

use super::check::Checker;
use super::field::Shape;
use super::go::Place;
use super::json::Json;
use super::normal::Normal;
use super::source::{Parsed, Source};
use super::types::TypeId;
use crate::status::Status;

/// What happens to fields that are unknown or given twice (`fieldValidation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// They are dropped (of two, the last one wins).
    Ignore,
    /// They are dropped, and the client is told in a warning.
    #[default]
    Warn,
    /// They are an error.
    Strict,
}

/// A value that fits its type, in normal form, and what the client is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The value.
    pub value: Value,
    /// Texts for `Warning` headers: `unknown field "spec.foo"`.
    pub warnings: Vec<String>,
}

/// Why bytes or a value don't fit a type, in upstream's words.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes aren't JSON, or a value has the wrong form: `json: cannot unmarshal string into ...`.
    #[error("{0}")]
    Malformed(String),
    /// Unknown or repeated fields, with [`Strictness::Strict`].
    #[error("strict decoding error: {}", .0.join(", "))]
    Strict(Vec<String>),
}

impl DecodeError {
    /// The answer to a request whose body was of this type: 400, `Pod in version "v1" cannot be handled as a
    /// Pod: ...`; for options, without these words.
    pub fn into_status(self, of: TypeId) -> Status {
        Status::bad_request(handled_as(of, of, &self.to_string()))
    }
}

/// Decodes a body of a request as a type of the table. apiVersion and kind may be left out, and are filled in.
///
/// # Errors
/// 400 `BadRequest` with the whole message: what [`DecodeError::into_status`] makes, and for bodies that are no
/// objects, or of another kind than expected.
pub fn decode_json(of: TypeId, bytes: &[u8], strictness: Strictness) -> Result<Decoded, Status> {
    let decoded = parse_json(of, bytes, strictness);
    let unrecognized = match &decoded {
        Err(DecodeError::Malformed(words)) if is_syntax(bytes) => Some(words.clone()),
        _ => not_a_kind(first_word(bytes)),
    };
    if let Some(words) = unrecognized {
        let expected = of.gvk().map_or(of.short_name(), |(.., kind)| kind);
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {expected}): couldn't get version/kind; json \
             parse error: {words} ({})",
            summary(bytes)
        )));
    }
    settle(of, decoded, || {
        let mut json = Json::new(bytes);
        let token = json.next_value().ok()?;
        json.rest(token).ok()
    })
}

/// The same for a value that is parsed already (YAML, calls in process).
///
/// # Errors
/// As [`decode_json`].
pub fn decode_value(of: TypeId, value: Value, strictness: Strictness) -> Result<Decoded, Status> {
    if let Some(words) = not_a_kind(word_of(&value)) {
        let expected = of.gvk().map_or(of.short_name(), |(.., kind)| kind);
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {expected}): couldn't get version/kind; json \
             parse error: {words} ({})",
            summary(value.to_string().as_bytes())
        )));
    }
    let named = |value: &Value| {
        value.as_object().map(|object| {
            let text = |key: &str| object.get(key).cloned().unwrap_or_default();
            (text("apiVersion"), text("kind"))
        })
    };
    let (api_version, kind) = named(&value).unwrap_or_default();
    let other = another_kind(of, &api_version, &kind).then(|| value.clone());
    let decoded = check_value(of, value, strictness);
    settle(of, decoded, || other)
}

/// Decodes JSON as a type of the table.
///
/// # Errors
/// The bare error, for callers that wrap it in other words.
pub fn parse_json(of: TypeId, bytes: &[u8], strictness: Strictness) -> Result<Decoded, DecodeError> {
    let mut checker = Checker::new(Json::new(bytes), strictness != Strictness::Ignore);
    let value = checker.value(&Shape::Object(of), "", &Place::ROOT).map_err(DecodeError::Malformed)?;
    let Checker { source, fault, strict_errors, .. } = checker;
    source.end().map_err(DecodeError::Malformed)?;
    finish(of, value, fault, strict_errors, strictness)
}

/// The same for a value that is parsed already (patched objects).
///
/// # Errors
/// As [`parse_json`].
pub fn check_value(of: TypeId, value: Value, strictness: Strictness) -> Result<Decoded, DecodeError> {
    let mut checker = Checker::new(Parsed::new(value), strictness != Strictness::Ignore);
    let value = checker.value(&Shape::Object(of), "", &Place::ROOT).map_err(DecodeError::Malformed)?;
    finish(of, value, checker.fault, checker.strict_errors, strictness)
}

fn finish(
    of: TypeId,
    mut value: Value,
    fault: Option<String>,
    strict_errors: Vec<String>,
    strictness: Strictness,
) -> Result<Decoded, DecodeError> {
    if let Some(fault) = fault {
        return Err(DecodeError::Malformed(fault));
    }
    if strictness == Strictness::Strict && !strict_errors.is_empty() {
        return Err(DecodeError::Strict(strict_errors));
    }
    Normal { scalars: false, stored: true }.object(of, &mut value);
    Ok(Decoded { value, warnings: strict_errors })
}

/// Looks at what the body says it is. `again` gives the whole body, for when it is something else.
fn settle(
    of: TypeId,
    decoded: Result<Decoded, DecodeError>,
    again: impl FnOnce() -> Option<Value>,
) -> Result<Decoded, Status> {
    let Some((group, version, kind)) = of.gvk() else {
        return decoded.map_err(|error| error.into_status(of));
    };
    let mut decoded = match decoded {
        Ok(decoded) => decoded,
        // The error may be one of the expected type only.
        Err(error) => return Err(other_kind(of, again()).unwrap_or_else(|| error.into_status(of))),
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
        let value = Some(decoded.value);
        return Err(again()
            .map_or_else(|| other_kind(of, value), |whole| other_kind(of, Some(whole)))
            .unwrap_or_else(|| Status::bad_request("the object provided is of another kind than expected")));
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

fn is_options(of: TypeId) -> bool {
    of.short_name().ends_with("Options")
}

fn handled_as(given: TypeId, expected: TypeId, words: &str) -> String {
    match (given.gvk(), expected.gvk()) {
        (Some((_, version, kind)), Some((.., expected_kind))) if !is_options(expected) => {
            format!("{kind} in version \"{version}\" cannot be handled as a {expected_kind}: {words}")
        }
        _ => words.to_owned(),
    }
}

/// Whether the bytes aren't JSON at all.
fn is_syntax(bytes: &[u8]) -> bool {
    let mut json = Json::new(bytes);
    let whole = json.next_value().and_then(|token| json.rest(token));
    whole.is_err() || json.end().is_err()
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
            "json: cannot unmarshal {word} into Go value of type struct {{ APIVersion string \
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
