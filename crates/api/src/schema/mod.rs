//! The schema table: every field of every type, as data generated from registry packages
//! (`cargo xtask schema`), plus a small overlay of facts that the packages lack.

mod base64;
mod body;
mod check;
mod decode;
mod field;
mod go;
mod json;
mod normal;
mod source;
#[rustfmt::skip]
mod table;
pub(crate) mod time;
mod types;

pub(crate) use body::unrecognized;
pub use body::{decode_json, decode_value};
pub(crate) use check::shortest;
pub use decode::{DecodeError, Decoded, Strictness, check_value, parse_json};
pub use field::{Field, ListType, MapType, MergeStrategy, Omit, Shape};
pub(crate) use normal::Normal;
pub use normal::normalize;
pub(crate) use source::{DEPTH_MAX, VALUES_MAX};
pub(crate) use table::DIGEST;
pub use types::{TypeId, type_named, type_of, types};

/// `JSONSchemaProps`, for the shapes that may be something else.
pub(crate) fn schema_props() -> Option<TypeId> {
    type_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
}

/// Reads JSON within the limits of an object.
pub fn read_json(bytes: &[u8]) -> Result<serde_json::Value, String> {
    use source::Source;
    let mut json = json::Json::new(bytes);
    let token = json.next_value()?;
    let value = json.rest(token)?;
    json.end()?;
    Ok(value)
}
