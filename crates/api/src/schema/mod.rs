//! The schema table: every field of every type, as data generated from registry packages
//! (`cargo xtask schema`), plus a small overlay of facts that the packages lack.

/// A type of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u16);

/// The type of a kind.
pub fn type_of(_group: &str, _version: &str, _kind: &str) -> Option<TypeId> {
    None
}
