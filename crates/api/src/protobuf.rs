//! Kubernetes' protobuf, driven by the schema table.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>

use serde_json::Value;

use crate::schema::TypeId;

/// Why bytes are not an object in protobuf.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ProtobufError {
    /// The bytes don't start with `k8s` and a zero.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    /// The bytes end in the middle of something.
    #[error("unexpected EOF")]
    Truncated,
}

/// Decodes an object in its envelope (`k8s\0` and a `runtime.Unknown`): apiVersion, kind, and the object in
/// normal form, apiVersion and kind included.
///
/// # Errors
/// Where the bytes aren't such an object, or of a kind that the table doesn't know.
pub fn decode(_bytes: &[u8]) -> Result<(String, String, Value), ProtobufError> {
    Err(ProtobufError::Magic)
}

/// Encodes an object in its envelope.
pub fn encode(_type_id: TypeId, _value: &Value) -> Vec<u8> {
    Vec::new()
}

/// Encodes an object without an envelope, as an item of a list.
pub fn encode_object(_type_id: TypeId, _value: &Value) -> Vec<u8> {
    Vec::new()
}

/// Encodes one event of a watch: a `WatchEvent` whose object is in its own envelope, after its length in four
/// bytes. `kind` is `ADDED`, ...; `object` comes from [`encode`].
pub fn watch_frame(_kind: &str, _object: &[u8]) -> Vec<u8> {
    Vec::new()
}
