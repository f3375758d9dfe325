//! What the client needs to know of a type, and how objects are named.

use std::fmt;

use cox_api::Resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type of k8s-openapi that is a kind of its own: it has a path, metadata and a form in JSON.
pub trait Kind:
    k8s_openapi::Metadata<Ty = ObjectMeta> + DeserializeOwned + Serialize + Send + Sync + 'static
{
}

impl<T> Kind for T where
    T: k8s_openapi::Metadata<Ty = ObjectMeta> + DeserializeOwned + Serialize + Send + Sync + 'static
{
}

/// The resource of a type.
pub fn resource_of<T: Kind>() -> Resource {
    Resource::new(T::GROUP, T::VERSION, T::URL_PATH_SEGMENT)
}

/// The store's revision of an object; 0 where it has none (not stored yet).
pub fn revision_of<T: Kind>(object: &T) -> u64 {
    object.metadata().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The place of an object: its namespace (empty for none) and its name. Orders like the store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key {
    /// Empty for objects without a namespace.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
}

impl Key {
    /// Names a place.
    pub fn new(namespace: &str, name: &str) -> Key {
        Key { namespace: namespace.into(), name: name.into() }
    }

    /// The place of an object.
    pub fn of<T: Kind>(object: &T) -> Key {
        let metadata = object.metadata();
        Key::new(metadata.namespace.as_deref().unwrap_or(""), metadata.name.as_deref().unwrap_or(""))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
