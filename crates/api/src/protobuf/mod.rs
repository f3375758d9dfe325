//! Kubernetes' protobuf, driven by the schema table.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>

mod decode;
mod encode;
pub(crate) mod wire;

use serde_json::Value;

use crate::schema::{self, Strictness, TypeId};
use crate::status::Status;

/// What every object's envelope starts with.
const MAGIC: &[u8] = b"k8s\0";

/// Why bytes are not an object in protobuf.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ProtobufError {
    /// The bytes don't start with `k8s` and a zero.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    /// The bytes end in the middle of something.
    #[error("unexpected EOF")]
    Truncated,
    /// An integer has more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// A field has no number.
    #[error("proto: illegal tag {0}")]
    IllegalTag(u64),
    /// A field is of a wire type that doesn't exist any more.
    #[error("proto: illegal wireType {wire_type} for field {number}")]
    WireType {
        /// 3, 4, 6 or 7.
        wire_type: u8,
        /// The field's number.
        number: u64,
    },
    /// Messages are nested deeper than objects may be.
    #[error("exceeded max depth")]
    TooDeep,
    /// There are more list elements and map entries than objects may have.
    #[error("exceeded max number of values")]
    TooMany,
    /// The content of a field doesn't fit it.
    #[error("{0}")]
    Content(String),
    /// The kind isn't known.
    #[error(
        "no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\""
    )]
    Kind {
        /// As in the envelope.
        api_version: String,
        /// As in the envelope.
        kind: String,
    },
}

/// Decodes an object in its envelope (`k8s\0` and a `runtime.Unknown`): apiVersion, kind, and the object in
/// normal form, apiVersion and kind included.
///
/// # Errors
/// Where the bytes aren't such an object, or of a kind that the table doesn't know.
pub fn decode(bytes: &[u8]) -> Result<(String, String, Value), ProtobufError> {
    let envelope = decode::Envelope::open(bytes)?;
    let (api_version, kind) = (envelope.api_version.to_string(), envelope.kind.to_string());
    let Some(of) = envelope.type_id() else { return Err(ProtobufError::Kind { api_version, kind }) };
    let mut value = decode::object(of, envelope.raw)?;
    decode::name(&mut value, &api_version, &kind);
    Ok((api_version, kind, value))
}

/// Decodes a body of a request, of which `of` is expected. An envelope without a kind is taken for that.
///
/// # Errors
/// 400 `BadRequest`, as [`schema::decode_json`].
pub fn decode_body(of: TypeId, bytes: &[u8]) -> Result<Value, Status> {
    let unrecognized = |error: ProtobufError| schema::unrecognized(of, &error.to_string(), bytes);
    let envelope = decode::Envelope::open(bytes).map_err(unrecognized)?;
    let (api_version, kind) = (envelope.api_version.to_string(), envelope.kind.to_string());
    let given = if kind.is_empty() { Some(of) } else { envelope.type_id() };
    let mut value = match given {
        Some(given) => decode::object(given, envelope.raw).map_err(unrecognized)?,
        None => Value::Object(serde_json::Map::new()),
    };
    if !kind.is_empty() {
        decode::name(&mut value, &api_version, &kind);
    }
    schema::decode_value(of, value, Strictness::Ignore).map(|decoded| decoded.value)
}

/// Whether protobuf has a message for the type: tables and custom resources have none.
pub fn is_encodable(of: TypeId) -> bool {
    of.fields().iter().any(|field| field.tags[0] != 0)
}

/// Encodes an object in normal form in its envelope.
pub fn encode(of: TypeId, value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let (api_version, kind) = names(of);
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    encode::envelope(
        &mut out,
        text("apiVersion").unwrap_or(&api_version),
        text("kind").unwrap_or(kind),
        |out| encode::object(out, of, value),
    );
    out
}

/// Encodes an object without an envelope, as an item of a list.
pub fn encode_object(of: TypeId, value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    encode::object(&mut out, of, value);
    out
}

/// Puts an object that [`encode_object`] made into an envelope of its kind.
pub fn wrap(of: TypeId, object: &[u8]) -> Vec<u8> {
    let (api_version, kind) = names(of);
    let mut out = Vec::with_capacity(object.len() + 64);
    encode::envelope(&mut out, &api_version, kind, |out| out.extend_from_slice(object));
    out
}

/// Encodes a list in its envelope: `of` is the list's type (`PodList`), `metadata` its `ListMeta`, the items come
/// from [`encode_object`].
pub fn encode_list<'a>(of: TypeId, metadata: &Value, items: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let (api_version, kind) = names(of);
    let mut out = Vec::with_capacity(4096);
    encode::envelope(&mut out, &api_version, kind, |out| encode::list(out, of, metadata, items));
    out
}

/// Encodes one event of a watch: a `WatchEvent` whose object is in its own envelope, after its length in four
/// bytes. `kind` is `ADDED`, ...; `object` comes from [`encode`] or [`wrap`].
pub fn watch_frame(kind: &str, object: &[u8]) -> Vec<u8> {
    encode::watch_frame(kind, object)
}

fn names(of: TypeId) -> (String, &'static str) {
    match of.gvk() {
        Some(("", version, kind)) => (version.to_owned(), kind),
        Some((group, version, kind)) => (format!("{group}/{version}"), kind),
        None => (String::new(), ""),
    }
}

#[cfg(test)]
mod tests;
