//! What is served: kinds with objects, and resources without.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use cox_api::{Form, Kind, KindInfo, Resource, kinds};

use crate::sub::{Special, Virtual};

/// A resource that is served.
#[derive(Clone, Copy)]
pub(crate) enum Served {
    /// Objects in the store.
    Kind(&'static dyn Kind),
    /// Questions that are answered at once.
    Virtual(&'static dyn Virtual),
}

impl Served {
    /// Whether objects have a protobuf form.
    pub fn has_protobuf(&self) -> bool {
        match self {
            Served::Kind(kind) => matches!(kind.form(), Form::Table(_)),
            Served::Virtual(_) => true,
        }
    }
}

type Name = (&'static str, &'static str, &'static str);

fn table() -> &'static BTreeMap<Name, Served> {
    static TABLE: OnceLock<BTreeMap<Name, Served>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let kinds = kinds::ALL.iter().map(|&kind| {
            let info = kind.info();
            ((info.group, info.version, info.plural), Served::Kind(kind))
        });
        let others = crate::sub::VIRTUAL.iter().map(|&one| {
            let info = one.info();
            ((info.group, info.version, info.plural), Served::Virtual(one))
        });
        kinds.chain(others).collect()
    })
}

/// Finds what a path names.
pub(crate) fn find(resource: &Resource) -> Option<Served> {
    let name = (resource.group.as_str(), resource.version.as_str(), resource.plural.as_str());
    // A lookup by borrowed names: the lifetimes of the table's own are longer.
    let table: &BTreeMap<(&str, &str, &str), Served> = table();
    table.get(&name).copied()
}

/// The fixed facts of everything that is served.
pub(crate) fn infos() -> impl Iterator<Item = &'static KindInfo> {
    table().values().map(|served| match served {
        Served::Kind(kind) => kind.info(),
        Served::Virtual(one) => one.info(),
    })
}

/// Whether any resource of a group and version is served.
pub(crate) fn has_version(group: &str, version: &str) -> bool {
    table().keys().any(|(known_group, known_version, _)| *known_group == group && *known_version == version)
}

/// The special way of a subresource, where it has one.
pub(crate) fn special(group: &str, plural: &str, subresource: &str) -> Option<&'static dyn Special> {
    crate::sub::SPECIAL
        .iter()
        .find(|(known_group, known_plural, known_sub, _)| {
            (*known_group == group || *known_group == "*")
                && (*known_plural == plural || *known_plural == "*")
                && *known_sub == subresource
        })
        .map(|(_, _, _, special)| *special)
}
