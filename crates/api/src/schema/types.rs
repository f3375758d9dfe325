//! Types of the table, and how they are found.

use super::field::Field;
use super::table::{KINDS, TYPES};

/// A type of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u16);

/// What the table knows of a type.
pub(super) struct Type {
    pub name: &'static str,
    pub fields: &'static [Field],
    /// `x-kubernetes-map-type: atomic`.
    pub atomic: bool,
    pub gvk: Option<(&'static str, &'static str, &'static str)>,
}

/// The type of a kind; the group is empty for the core group. Also knows the kinds of lists, and those that
/// every group has (`Status`, `DeleteOptions`, `WatchEvent`, ...).
pub fn type_of(group: &str, version: &str, kind: &str) -> Option<TypeId> {
    let find = |group: &str, version: &str| {
        KINDS.binary_search_by(|known| (known.0, known.1, known.2).cmp(&(group, version, kind))).ok()
    };
    find(group, version)
        .or_else(|| match kind {
            "Status" | "DeleteOptions" | "WatchEvent" => find("", "v1"),
            "CreateOptions" | "UpdateOptions" | "PatchOptions" | "GetOptions" | "ListOptions" => {
                find("meta.k8s.io", "v1")
            }
            _ => None,
        })
        .map(|at| TypeId(KINDS[at].3))
}

/// The type of an OpenAPI name, as in `io.k8s.api.core.v1.PodSpec`.
pub fn type_named(name: &str) -> Option<TypeId> {
    let at = TYPES.binary_search_by(|known| known.name.cmp(name)).ok()?;
    Some(TypeId(u16::try_from(at).ok()?))
}

/// Every type, by name.
pub fn types() -> impl Iterator<Item = TypeId> {
    (0..TYPES.len()).filter_map(|at| u16::try_from(at).ok().map(TypeId))
}

impl TypeId {
    fn entry(self) -> &'static Type {
        &TYPES[usize::from(self.0)]
    }

    /// The OpenAPI name, as in `io.k8s.api.core.v1.PodSpec`.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The last part of the name, as in `PodSpec`.
    pub fn short_name(self) -> &'static str {
        self.name().rsplit('.').next().unwrap_or_default()
    }

    /// Group, version and kind, where the type is a kind.
    pub fn gvk(self) -> Option<(&'static str, &'static str, &'static str)> {
        self.entry().gvk
    }

    /// Whether server-side apply takes values of the type as a whole (`x-kubernetes-map-type: atomic`).
    pub fn is_atomic(self) -> bool {
        self.entry().atomic
    }

    /// Every field, ordered by JSON name. Types whose Go struct embeds another one have its fields too.
    pub fn fields(self) -> &'static [Field] {
        self.entry().fields
    }

    /// The field of a JSON name (case matters).
    pub fn field(self, name: &str) -> Option<&'static Field> {
        let fields = self.fields();
        fields.binary_search_by(|field| field.name.cmp(name)).ok().map(|at| &fields[at])
    }
}

impl std::fmt::Display for TypeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{MapType, Shape};

    #[test]
    fn everything_is_in_the_order_that_lookups_need() {
        assert!(TYPES.is_sorted_by(|one, next| one.name < next.name));
        assert!(KINDS.is_sorted_by(|one, next| (one.0, one.1, one.2) < (next.0, next.1, next.2)));
        for of in types() {
            assert!(of.fields().is_sorted_by(|one, next| one.name < next.name), "{of}");
            assert_eq!(type_named(of.name()), Some(of));
            if let Some((group, version, kind)) = of.gvk() {
                assert_eq!(type_of(group, version, kind), Some(of));
            }
        }
    }

    #[test]
    fn every_kind_that_is_served_has_a_type_and_a_list() {
        for kind in crate::kinds::ALL {
            let info = kind.info();
            assert_eq!(info.type_id().gvk(), Some((info.group, info.version, info.kind)));
            let list = type_of(info.group, info.version, &format!("{}List", info.kind));
            assert!(list.is_some(), "{}", info.kind);
        }
    }

    #[test]
    fn a_few_facts() {
        let field = |of: &str, name: &str| {
            let of = type_named(&format!("io.k8s.api.core.v1.{of}")).expect("a known type");
            *of.field(name).expect("a known field")
        };
        let containers = field("PodSpec", "containers");
        assert_eq!(containers.list, crate::schema::ListType::Map(&["name"]));
        assert_eq!((containers.merge.merge, containers.merge.key), (true, "name"));
        assert!(field("PodSpec", "volumes").merge.retain_keys);
        assert_eq!(field("PodSpec", "nodeSelector").map, MapType::Atomic);
        // Atomic by its type, but not in this place.
        assert_eq!(field("Event", "involvedObject").map, MapType::Atomic);
        assert_eq!(field("PersistentVolumeSpec", "claimRef").map, MapType::Granular);
        assert_eq!(field("ContainerPort", "protocol").default, "\"TCP\"");
        assert_eq!(field("Secret", "data").shape, Shape::Map(&Shape::Bytes));
        assert_eq!(type_of("apps", "v1", "DeleteOptions"), type_of("", "v1", "DeleteOptions"));
        assert_eq!(type_of("apps", "v1", "Nothing"), None);
        assert!(type_of("settings.k8s.io", "v1alpha1", "PodPreset").is_some());
    }
}
