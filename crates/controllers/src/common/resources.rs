//! The resources that a controller of everything (namespaces, garbage) looks at.

use cox_api::kind::{KindInfo, Scope};
use cox_api::{Kind, Resource};

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

/// The kind that a reference names; another version of the same kind serves as well.
pub(crate) fn of_reference(api_version: &str, kind: &str) -> Option<&'static KindInfo> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let exact: Option<&'static dyn Kind> = cox_api::kinds::by_kind(group, version, kind);
    let any = || {
        cox_api::kinds::ALL
            .iter()
            .copied()
            .find(|known| known.info().group == group && known.info().kind == kind)
    };
    exact.or_else(any).map(|kind| kind.info())
}

/// Whether objects of the kind live in namespaces.
pub(crate) fn is_namespaced(info: &KindInfo) -> bool {
    info.scope == Scope::Namespaced
}
