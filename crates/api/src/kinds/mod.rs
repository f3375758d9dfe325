//! Every kind, one file each, and the registry of what is served.

use crate::kind::Kind;

/// Every kind that is served, in the order of discovery.
pub static ALL: &[&dyn Kind] = &[];

/// The kind behind a resource of a path.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static dyn Kind> {
    ALL.iter().copied().find(|kind| {
        let info = kind.info();
        info.plural == plural && info.group == group && info.version == version
    })
}

/// The kind of an object.
pub fn by_kind(group: &str, version: &str, name: &str) -> Option<&'static dyn Kind> {
    ALL.iter().copied().find(|kind| {
        let info = kind.info();
        info.kind == name && info.group == group && info.version == version
    })
}

/// The kind whose objects are stored under `/registry/<prefix>/`.
pub fn by_store_prefix(prefix: &str) -> Option<&'static dyn Kind> {
    ALL.iter().copied().find(|kind| kind.stored_as().is_none() && kind.info().store_prefix == prefix)
}
