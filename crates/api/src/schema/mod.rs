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
mod repeated;
mod source;
#[rustfmt::skip]
mod table;
pub(crate) mod time;
mod types;

pub(crate) use body::unrecognized;
pub use body::{decode_json, decode_value, unrecognized_kind};
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

/// `ObjectMeta`, which every object has.
pub(crate) fn object_meta() -> Option<TypeId> {
    static META: std::sync::LazyLock<Option<TypeId>> =
        std::sync::LazyLock::new(|| type_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
    *META
}

/// Puts a fault of a part of an object (`unknown field "x"`) where that part is.
pub(crate) fn below(part: &str, fault: &str) -> String {
    fault.replacen(" field \"", &format!(" field \"{part}."), 1)
}

/// Reads JSON within the limits of an object; also tells the keys that stand twice: `duplicate field "a.b"`.
///
/// # Errors
/// Go's words for malformed JSON.
pub fn read_json_strictly(bytes: &[u8]) -> Result<(serde_json::Value, Vec<String>), String> {
    use source::Source;
    let mut json = json::Json::new(bytes);
    let mut repeated = repeated::Repeated::default();
    let token = json.next_value()?;
    let value = repeated.read(&mut json, token)?;
    json.end()?;
    Ok((value, repeated.told))
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
