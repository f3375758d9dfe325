//! All objects of a prefix as they were at one revision.

use std::ops::Bound;
use std::sync::Arc;

use cox_api::Object;
use imbl::OrdMap;

use crate::key::{Key, ROOT};

/// All objects of a prefix as they were at one revision. Taking one costs nothing that grows with their
/// number, and it stays as it is whatever is written later.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) prefix: Arc<str>,
    pub(crate) objects: OrdMap<Key, Object>,
    pub(crate) revision: u64,
}

impl Snapshot {
    /// The revision: of a list made of this snapshot, and of the watch that goes on from it.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many objects there are in all namespaces.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The objects in the order of their keys, of one namespace or all, from a [`Key::path`] on
    /// (`Bound::Excluded` of the last one of a page goes on with the next page).
    pub fn range(
        &self,
        namespace: Option<&str>,
        start: Bound<&str>,
    ) -> impl Iterator<Item = (&Key, &Object)> {
        let root = format!("{ROOT}{}/", self.prefix);
        let within = match namespace {
            Some(namespace) => format!("{root}{namespace}/"),
            None => root.clone(),
        };
        let first = match start {
            Bound::Included(path) => Bound::Included(format!("{root}{path}")),
            Bound::Excluded(path) => Bound::Excluded(format!("{root}{path}")),
            Bound::Unbounded => Bound::Included(within.clone()),
        };
        // A start before the namespace would end the walk at once.
        let first = match first {
            Bound::Included(text) | Bound::Excluded(text) if text < within => Bound::Included(within.clone()),
            first => first,
        };
        let first = match &first {
            Bound::Included(text) => Bound::Included(text.as_str()),
            Bound::Excluded(text) => Bound::Excluded(text.as_str()),
            Bound::Unbounded => Bound::Unbounded,
        };
        self.objects
            .range::<_, str>((first, Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(&within))
    }

    /// All objects in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Object)> {
        self.objects.iter()
    }

    /// The object under a [`Key::path`].
    pub fn get(&self, path: &str) -> Option<&Object> {
        self.objects.get(format!("{ROOT}{}/{path}", self.prefix).as_str())
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({} {} at {})", self.len(), self.prefix, self.revision)
    }
}
