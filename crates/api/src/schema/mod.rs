//! The schema table: every field of every type, as data generated from registry packages
//! (`cargo xtask schema`), plus a small overlay of facts that the packages lack.

mod decode;
mod field;
mod normal;
#[rustfmt::skip]
mod table;
mod types;

pub use decode::{DecodeError, Decoded, Strictness, check_value, decode_json, decode_value, parse_json};
pub use field::{Field, ListType, MapType, MergeStrategy, Omit, Shape};
pub use normal::normalize;
pub use types::{TypeId, type_named, type_of, types};
