//! Types of the table, and how they are found.

use super::field::Field;

/// A type of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u16);

/// The type of a kind; the group is empty for the core group. Also knows `List` kinds and the kinds of
/// `meta.k8s.io/v1` that every group has (`Status`, `DeleteOptions`, `WatchEvent`, ...).
pub fn type_of(_group: &str, _version: &str, _kind: &str) -> Option<TypeId> {
    None
}

/// The type of an OpenAPI name, as in `io.k8s.api.core.v1.PodSpec`.
pub fn type_named(_name: &str) -> Option<TypeId> {
    None
}

impl TypeId {
    /// The OpenAPI name, as in `io.k8s.api.core.v1.PodSpec`.
    pub fn name(self) -> &'static str {
        ""
    }

    /// Every field, ordered by JSON name. Types whose Go struct embeds another one have its fields too.
    pub fn fields(self) -> &'static [Field] {
        &[]
    }

    /// The field of a JSON name (case matters).
    pub fn field(self, name: &str) -> Option<&'static Field> {
        let fields = self.fields();
        fields.binary_search_by(|field| field.name.cmp(name)).ok().map(|at| &fields[at])
    }
}
