//! From JSON to values, checked by the table on the way.

use serde_json::Value;

use super::check::Checker;
use super::field::Shape;
use super::go::Place;
use super::json::Json;
use super::normal::Normal;
use super::source::Parsed;
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
    /// The same fault, told of an object that has the value as its part.
    pub(crate) fn below(self, part: &str) -> DecodeError {
        match self {
            DecodeError::Malformed(words) => DecodeError::Malformed(words),
            DecodeError::Strict(told) => {
                DecodeError::Strict(told.iter().map(|text| super::below(part, text)).collect())
            }
        }
    }

    /// The answer to a request whose body was of this type: 400, `Pod in version "v1" cannot be handled as a
    /// Pod: ...`; for options, without these words.
    pub fn into_status(self, of: TypeId) -> Status {
        Status::bad_request(handled_as(of, of, &self.to_string()))
    }
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

/// `Pod in version "v1" cannot be handled as a Pod: ...`; bare words for options.
pub(super) fn handled_as(given: TypeId, expected: TypeId, words: &str) -> String {
    match (given.gvk(), expected.gvk()) {
        (Some((_, version, kind)), Some((.., expected_kind))) if !is_options(expected) => {
            format!("{kind} in version \"{version}\" cannot be handled as a {expected_kind}: {words}")
        }
        _ => words.to_owned(),
    }
}

/// Options are known to every group, and their errors stand bare.
pub(super) fn is_options(of: TypeId) -> bool {
    of.short_name().ends_with("Options")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::type_of;

    fn pod(text: &str, strictness: Strictness) -> Result<Decoded, String> {
        let of = type_of("", "v1", "Pod").expect("a known kind");
        parse_json(of, text.as_bytes(), strictness).map_err(|error| error.to_string())
    }

    #[test]
    fn faults_are_in_gos_words() {
        let field = "json: cannot unmarshal";
        for (text, words) in [
            (
                r#"{"spec": {"containers": "x"}}"#,
                "string into Go struct field PodSpec.spec.containers of type []v1.Container",
            ),
            (
                r#"{"spec": {"containers": [{"env": [{"value": 5}]}]}}"#,
                "number into Go struct field EnvVar.spec.containers.env.value of type string",
            ),
            (
                r#"{"spec": {"priority": 1.5}}"#,
                "number 1.5 into Go struct field PodSpec.spec.priority of type int32",
            ),
            (
                r#"{"spec": {"restartPolicy": {}}}"#,
                "object into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy",
            ),
            (
                r#"{"spec": {"overhead": []}}"#,
                "array into Go struct field PodSpec.spec.overhead of type v1.ResourceList",
            ),
            (
                r#"{"metadata": {"labels": {"a": true}}}"#,
                "bool into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (
                r#"{"metadata": {"deletionTimestamp": 5}}"#,
                "number into Go struct field ObjectMeta.metadata.deletionTimestamp of type string",
            ),
            (
                r#"{"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": 1.5}}}]}}"#,
                "number 1.5 into Go struct field HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32",
            ),
            (
                r#"{"spec": {"containers": [{"livenessProbe": {"tcpSocket": {"port": true}}}]}}"#,
                "bool into Go struct field TCPSocketAction.spec.containers.livenessProbe.tcpSocket.port of type int32",
            ),
        ] {
            assert_eq!(pod(text, Strictness::Strict), Err(format!("{field} {words}")), "{text}");
        }
    }

    #[test]
    fn the_first_fault_counts_but_malformed_json_is_worse() {
        let first = pod(r#"{"spec": {"priority": "x", "nodeName": 5}}"#, Strictness::Warn);
        assert!(first.is_err_and(|words| words.contains("spec.priority")));
        let malformed = pod(r#"{"spec": {"priority": "x"}"#, Strictness::Warn);
        assert_eq!(malformed, Err("unexpected end of JSON input".into()));
    }

    #[test]
    fn unknown_and_repeated_fields() {
        let text = r#"{"metadata": {"bogus": 1, "labels": {"a": "b", "a": "c"}},
            "spec": {"containers": [{"image": "i", "image": "j", "Image": "k"}]}, "bogus": {"x": 1}}"#;
        let errors = [
            "unknown field \"metadata.bogus\"",
            "duplicate field \"metadata.labels.a\"",
            "duplicate field \"spec.containers[0].image\"",
            "unknown field \"spec.containers[0].Image\"",
            "unknown field \"bogus\"",
        ];
        assert_eq!(
            pod(text, Strictness::Strict),
            Err(format!("strict decoding error: {}", errors.join(", ")))
        );
        let warned = pod(text, Strictness::Warn).expect("decoded");
        assert_eq!(warned.warnings, errors);
        let ignored = pod(text, Strictness::Ignore).expect("decoded");
        assert!(ignored.warnings.is_empty());
        for decoded in [warned, ignored] {
            assert_eq!(
                decoded.value,
                json!({"metadata": {"labels": {"a": "c"}}, "status": {},
                    "spec": {"containers": [{"name": "", "image": "j", "resources": {}}]}})
            );
        }
    }

    #[test]
    fn a_value_is_taken_like_bytes() {
        let of = type_of("", "v1", "Pod").expect("a known kind");
        let value = json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 0.5}}}],
            "nodeSelector": {}, "volumes": null, "activeDeadlineSeconds": 0}, "zz": 1});
        let parsed = parse_json(of, value.to_string().as_bytes(), Strictness::Warn).expect("decoded");
        assert_eq!(check_value(of, value, Strictness::Warn), Ok(parsed.clone()));
        assert_eq!(parsed.warnings, ["unknown field \"zz\""]);
        assert_eq!(
            parsed.value["spec"],
            json!({"activeDeadlineSeconds": 0,
                "containers": [{"name": "c", "resources": {"limits": {"cpu": "500m"}}}]})
        );
    }
}
