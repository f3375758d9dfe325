//! Checks of `metadata` on create and update.

use serde_json::Value;

use super::{name_messages, names};
use crate::field::{FieldErrors, Path};
use crate::kind::{KindInfo, NameRule, Scope};

/// All annotations of an object together, keys and values.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// A field manager's name.
pub const FIELD_MANAGER_BYTES_MAX: usize = 128;
/// The subresource of an entry of managed fields.
const SUBRESOURCE_BYTES_MAX: usize = 256;

const METADATA: Path<'static> = Path::new("metadata");

/// Checks the metadata of a new object of a kind.
pub fn validate_create(object: &Value, info: &KindInfo, rule: NameRule, errors: &mut FieldErrors) {
    validate_metadata(&object["metadata"], info.scope, rule, &METADATA, errors);
}

/// Checks metadata wherever it stands, in the order of upstream.
pub fn validate_metadata(
    metadata: &Value,
    scope: Scope,
    rule: NameRule,
    path: &Path<'_>,
    errors: &mut FieldErrors,
) {
    let text = |key: &str| metadata[key].as_str().unwrap_or_default();
    let prefix = text("generateName");
    if !prefix.is_empty() {
        for message in name_messages(rule, prefix, true) {
            errors.invalid(&path.child("generateName"), &metadata["generateName"], message);
        }
    }
    if text("name").is_empty() {
        errors.required(&path.child("name"), "name or generateName is required");
    } else {
        for message in name_messages(rule, text("name"), false) {
            errors.invalid(&path.child("name"), &metadata["name"], message);
        }
    }
    let namespace = text("namespace");
    let at = path.child("namespace");
    match scope {
        Scope::Namespaced if namespace.is_empty() => errors.required(&at, ""),
        Scope::Namespaced => {
            for message in names::dns1123_label(namespace) {
                errors.invalid(&at, &metadata["namespace"], message);
            }
        }
        Scope::Cluster if !namespace.is_empty() => errors.forbidden(&at, "not allowed on this type"),
        Scope::Cluster => {}
    }
    if metadata["generation"].as_i64().is_some_and(|generation| generation < 0) {
        let detail = "must be greater than or equal to 0";
        errors.invalid(&path.child("generation"), &metadata["generation"], detail);
    }
    validate_common(metadata, path, errors);
    validate_finalizers(metadata, path, errors);
    validate_finalizer_forms(metadata, path, errors);
}

/// Checks what metadata must be whenever it is written, without its name and the forms of its finalizers.
pub(super) fn validate_standing(object: &Value, errors: &mut FieldErrors) {
    validate_common(&object["metadata"], &METADATA, errors);
    validate_finalizers(&object["metadata"], &METADATA, errors);
}

fn validate_common(metadata: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    validate_labels(&metadata["labels"], &path.child("labels"), errors);
    validate_annotations(&metadata["annotations"], &path.child("annotations"), errors);
    validate_owners(&metadata["ownerReferences"], &path.child("ownerReferences"), errors);
    validate_managed(&metadata["managedFields"], &path.child("managedFields"), errors);
}

/// Checks a map of labels (also of templates and selectors).
pub fn validate_labels(labels: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        for message in names::qualified_name(key) {
            errors.invalid(path, &Value::from(key.as_str()), message);
        }
        for message in names::label_value(value.as_str().unwrap_or_default()) {
            errors.invalid(path, value, message);
        }
    }
}

/// Checks a map of annotations.
pub fn validate_annotations(annotations: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let mut total = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        for message in names::qualified_name(&key.to_lowercase()) {
            errors.invalid(path, &Value::from(key.as_str()), message);
        }
        total += key.len() + value.as_str().map_or(0, str::len);
    }
    if total > ANNOTATIONS_BYTES_MAX {
        errors.too_long(path, ANNOTATIONS_BYTES_MAX);
    }
}

fn validate_owners(owners: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let mut controller: Option<String> = None;
    for owner in owners.as_array().into_iter().flatten() {
        let text = |key: &str| owner[key].as_str().unwrap_or_default();
        let (group, version) = match text("apiVersion").split_once('/') {
            // A second slash makes it no version at all.
            Some((_, version)) if version.contains('/') => ("", ""),
            Some((group, version)) => (group, version),
            None => ("", text("apiVersion")),
        };
        if version.is_empty() {
            errors.invalid(&path.child("apiVersion"), &owner["apiVersion"], "version must not be empty");
        }
        for key in ["kind", "name", "uid"] {
            if text(key).is_empty() {
                errors.invalid(&path.child(key), &Value::from(text(key)), "must not be empty");
            }
        }
        if text("kind") == "Event" && group.is_empty() && version == "v1" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.invalid_shown(path, shown_owner(owner), detail);
        }
        if owner["controller"] == true {
            let name = format!("{}/{}", text("kind"), text("name"));
            if let Some(first) = &controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                errors.invalid_shown(path, shown_owners(owners), detail);
            } else {
                controller = Some(name);
            }
        }
    }
}

/// A reference as upstream's JSON writes it, in the order of its fields.
fn shown_owner(owner: &Value) -> String {
    let parts: Vec<String> = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"]
        .into_iter()
        .filter_map(|key| Some(format!("\"{key}\":{}", owner.get(key)?)))
        .collect();
    format!("{{{}}}", parts.join(","))
}

fn shown_owners(owners: &Value) -> String {
    let all: Vec<String> = owners.as_array().into_iter().flatten().map(shown_owner).collect();
    format!("[{}]", all.join(","))
}

fn validate_managed(entries: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    for (at, entry) in entries.as_array().into_iter().flatten().enumerate() {
        let path = path.index(at);
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        if !matches!(text("operation"), "Apply" | "Update") {
            let shown = Value::from(text("operation"));
            errors.invalid(&path.child("operation"), &shown, "must be `Apply` or `Update`");
        }
        if !matches!(text("fieldsType"), "" | "FieldsV1") {
            errors.invalid(&path.child("fieldsType"), &entry["fieldsType"], "must be `FieldsV1`");
        }
        validate_field_manager(text("manager"), &path.child("manager"), errors);
        if text("subresource").len() > SUBRESOURCE_BYTES_MAX {
            errors.too_long(&path.child("subresource"), SUBRESOURCE_BYTES_MAX);
        }
    }
}

/// Checks the name of a field manager (also the parameter `fieldManager`).
pub fn validate_field_manager(manager: &str, path: &Path<'_>, errors: &mut FieldErrors) {
    if manager.len() > FIELD_MANAGER_BYTES_MAX {
        errors.too_long(path, FIELD_MANAGER_BYTES_MAX);
    }
    for (at, letter) in manager.char_indices() {
        // Go's IsPrint: of all white space only the plain space is printable.
        if letter.is_control() || (letter.is_whitespace() && letter != ' ') {
            let shown = if letter.is_control() {
                format!("U+{:04X}", u32::from(letter))
            } else {
                format!("U+{:04X} '{letter}'", u32::from(letter))
            };
            let detail = format!("invalid character {shown} (at position {at})");
            errors.invalid(path, &Value::from(manager), detail);
        }
    }
}

fn finalizers(metadata: &Value) -> impl Iterator<Item = &str> {
    metadata["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn validate_finalizers(metadata: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let list = path.child("finalizers");
    for finalizer in finalizers(metadata) {
        for message in names::qualified_name(finalizer) {
            errors.invalid(&list, &Value::from(finalizer), message);
        }
    }
    if finalizers(metadata).any(|one| one == "orphan")
        && finalizers(metadata).any(|one| one == "foregroundDeletion")
    {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.invalid(&list, &metadata["finalizers"], detail);
    }
}

/// Finalizers of Kubernetes' own kinds have a domain, but for three old ones.
fn validate_finalizer_forms(metadata: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    for (at, finalizer) in finalizers(metadata).enumerate() {
        let standard = matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion");
        if !standard && !finalizer.contains('/') {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid(&path.child("finalizers").index(at), &Value::from(finalizer), detail);
        }
    }
}

/// Checks the metadata of an update against the old one. `new` has gone through [`super::prepare_update`].
pub fn validate_update(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let (new, old, path) = (&new["metadata"], &old["metadata"], &METADATA);
    if !old["deletionTimestamp"].is_null() {
        let mut added: Vec<&str> =
            finalizers(new).filter(|one| !finalizers(old).any(|known| known == *one)).collect();
        added.sort_unstable();
        added.dedup();
        if !added.is_empty() {
            let list: Vec<String> = added.iter().map(|one| format!("{one:?}")).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                list.join(", ")
            );
            errors.forbidden(&path.child("finalizers"), detail);
        }
    }
    if new["resourceVersion"].as_str().unwrap_or_default().is_empty() {
        let shown = Value::from("");
        errors.invalid(&path.child("resourceVersion"), &shown, "must be specified for an update");
    }
    let generation = |metadata: &Value| metadata["generation"].as_i64().unwrap_or(0);
    if generation(new) < generation(old) {
        errors.invalid(&path.child("generation"), &new["generation"], "must not be decremented");
    }
    let unchanged = ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"];
    for key in unchanged.into_iter().chain(["deletionGracePeriodSeconds"]) {
        if new[key] != old[key] {
            errors.invalid(&path.child(key), &new[key], "field is immutable");
        }
    }
    validate_common(new, path, errors);
}

/// Checks of an update that Kubernetes' own kinds add.
pub(super) fn validate_update_more(new: &Value, errors: &mut FieldErrors) {
    validate_finalizer_forms(&new["metadata"], &METADATA, errors);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(check: impl FnOnce(&mut FieldErrors)) -> Vec<String> {
        let mut errors = FieldErrors::new();
        check(&mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    fn create(metadata: Value) -> Vec<String> {
        texts(|errors| {
            validate_metadata(&metadata, Scope::Namespaced, NameRule::Subdomain, &METADATA, errors)
        })
    }

    #[test]
    fn names_and_namespaces() {
        assert_eq!(
            create(json!({"namespace": "n"})),
            ["metadata.name: Required value: name or generateName is required"]
        );
        assert_eq!(create(json!({"name": "a"})), ["metadata.namespace: Required value"]);
        assert!(create(json!({"name": "a", "generateName": "a-", "namespace": "n"})).is_empty());
        let both = create(json!({"name": "a", "generateName": "A_B-", "namespace": "n"}));
        assert!(both[0].starts_with("metadata.generateName: Invalid value: \"A_B-\""), "{both:?}");
        let cluster = texts(|errors| {
            let metadata = json!({"name": "a", "namespace": "n"});
            validate_metadata(&metadata, Scope::Cluster, NameRule::PathSegment, &METADATA, errors)
        });
        assert_eq!(cluster, ["metadata.namespace: Forbidden: not allowed on this type"]);
    }

    #[test]
    fn owners_finalizers_and_managers() {
        let owner = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u", "controller": true});
        let two = create(json!({"name": "a", "namespace": "n", "ownerReferences": [owner("x"), owner("y")]}));
        assert_eq!(two.len(), 1);
        assert!(two[0].ends_with("in references for Pod/x and Pod/y"), "{two:?}");
        let bare = create(json!({"name": "a", "namespace": "n", "finalizers": ["mine", "orphan"]}));
        assert_eq!(
            bare,
            [
                "metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified"
            ]
        );
        let manager = texts(|errors| validate_field_manager("a\tb", &Path::new("fieldManager"), errors));
        assert_eq!(
            manager,
            ["fieldManager: Invalid value: \"a\\tb\": invalid character U+0009 (at position 1)"]
        );
    }

    #[test]
    fn updates_keep_the_identity() {
        let old =
            json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "1", "deletionTimestamp": "d"}});
        let new = json!({"metadata": {"name": "a", "uid": "2", "resourceVersion": "1", "deletionTimestamp": "d",
            "finalizers": ["x/y"]}});
        assert_eq!(
            texts(|errors| validate_update(&new, &old, errors)),
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x/y\"}",
                "metadata.uid: Invalid value: \"2\": field is immutable",
            ]
        );
    }
}
