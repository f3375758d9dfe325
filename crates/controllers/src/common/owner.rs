//! Owner references.

use cox_client::Kind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// The reference to the controller of an object.
pub(crate) fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whether `owner` is the controller of the object.
pub(crate) fn is_controlled_by<T: Kind>(metadata: &ObjectMeta, owner: &T) -> bool {
    controller_of(metadata).is_some_and(|found| Some(&found.uid) == owner.metadata().uid.as_ref())
}

/// A reference that makes `owner` the controller.
pub(crate) fn controller_reference<T: Kind>(owner: &T) -> OwnerReference {
    let metadata = owner.metadata();
    OwnerReference {
        api_version: T::API_VERSION.to_owned(),
        kind: T::KIND.to_owned(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The group in an apiVersion: `apps` of `apps/v1`, empty for `v1`.
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether a reference names this kind, in whatever version.
pub(crate) fn refers_to<T: Kind>(reference: &OwnerReference) -> bool {
    reference.kind == T::KIND && group_of(&reference.api_version) == T::GROUP
}

/// `metadata.name`, empty where absent.
pub(crate) fn name<T: Kind>(object: &T) -> &str {
    object.metadata().name.as_deref().unwrap_or("")
}

/// `metadata.namespace`, empty where absent.
pub(crate) fn namespace<T: Kind>(object: &T) -> &str {
    object.metadata().namespace.as_deref().unwrap_or("")
}

/// `metadata.uid`, empty where absent.
pub(crate) fn uid<T: Kind>(object: &T) -> &str {
    object.metadata().uid.as_deref().unwrap_or("")
}

/// An annotation.
pub(crate) fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}
