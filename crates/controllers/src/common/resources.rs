//! The resources that a controller of everything (namespaces, garbage) looks at.

use cox_api::Resource;
use cox_api::kind::{KindInfo, Scope};

/// Every kind that can be listed, watched and deleted and isn't another form of a stored one.
pub(crate) fn deletable() -> impl Iterator<Item = &'static KindInfo> {
    cox_api::kinds::ALL
        .iter()
        .filter(|kind| kind.stored_as().is_none())
        .map(|kind| kind.info())
        .filter(|info| ["delete", "list", "watch"].iter().all(|verb| info.verbs.contains(verb)))
}

/// The resource of a kind.
pub(crate) fn resource(info: &KindInfo) -> Resource {
    Resource::new(info.group, info.version, info.plural)
}

/// Whether objects of the kind live in namespaces.
pub(crate) fn is_namespaced(info: &KindInfo) -> bool {
    info.scope == Scope::Namespaced
}
