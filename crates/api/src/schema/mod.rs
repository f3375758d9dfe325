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

pub use body::{decode_json, decode_value};
pub use decode::{DecodeError, Decoded, Strictness, check_value, parse_json};
pub use field::{Field, ListType, MapType, MergeStrategy, Omit, Shape};
pub use normal::normalize;
pub use types::{TypeId, type_named, type_of, types};

/// `JSONSchemaProps`, for the shapes that may be something else.
fn schema_props() -> Option<TypeId> {
    type_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
}
