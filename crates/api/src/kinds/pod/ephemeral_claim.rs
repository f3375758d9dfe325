//! Volumes that a pod makes a claim for by itself. KEP-1698.

use serde_json::Value;

use super::quantities::quantity;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text, one_of};
use crate::kinds::common::label_selector;
use crate::kinds::common::storage;
use crate::kinds::common::walk::{at, get, list, text, text_ptr};
use crate::meta::{names, validate_annotations, validate_labels};

/// What of a claim's metadata makes no sense in a template, in Go's order.
const NO_METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// The `ephemeral` source.
pub fn ephemeral(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    let path = path.child("volumeClaimTemplate");
    let Some(template) = get(source, "volumeClaimTemplate") else {
        return errors.required(&path, "");
    };
    let nothing = Value::Null;
    let metadata = get(template, "metadata").unwrap_or(&nothing);
    let place = path.child("metadata");
    validate_annotations(&metadata["annotations"], &place.child("annotations"), errors);
    validate_labels(&metadata["labels"], &place.child("labels"), errors);
    for key in NO_METADATA {
        if get(metadata, key).is_some() {
            errors.forbidden(&place.child(key), "cannot be set");
        }
    }
    claim_spec(errors, &path.child("spec"), get(template, "spec").unwrap_or(&nothing));
}

/// The spec of a claim, wherever it stands.
pub fn claim_spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let place = path.child("accessModes");
    if list(spec, "accessModes").is_empty() {
        errors.required(&place, "at least 1 access mode is required");
    }
    label_selector::validate(get(spec, "selector"), false, &path.child("selector"), errors);
    storage::check_modes(errors, &place, spec);
    let place = path.child("resources");
    let place = place.key("storage");
    match at(spec, &["resources", "requests", "storage"]).map(quantity) {
        None => errors.required(&place, ""),
        Some(size) if size.sign() <= 0 => {
            bad_text(errors, &place, &size.to_string(), "must be greater than zero");
        }
        Some(_) => {}
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        check::subdomain(errors, &path.child("storageClassName"), class);
    }
    if let Some(mode) = text_ptr(spec, "volumeMode") {
        one_of(errors, &path.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
}

/// The claim's name is the pod's and the volume's.
pub fn claim_name(errors: &mut FieldErrors, path: &Path<'_>, pod: &str, volume: &str) {
    let name = format!("{pod}-{volume}");
    for message in names::dns1123_subdomain(&name) {
        bad_text(errors, &path.child("name"), volume, format!("PVC name {name:?}: {message}"));
    }
}
