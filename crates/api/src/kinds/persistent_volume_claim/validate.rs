//! Checks of PersistentVolumeClaims.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::walk::{at, get, keep, remove, same, set, text, text_ptr};
use crate::kinds::pod::quantities::quantity;
use crate::kinds::pod::{diff, ephemeral_claim, internal};

/// Checks the spec.
pub fn spec(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    ephemeral_claim::claim_spec(errors, &path, spec);
    let (old, new) = (get(spec, "dataSource"), get(spec, "dataSourceRef"));
    for (key, found) in [("dataSource", old), ("dataSourceRef", new)] {
        if let Some(found) = found {
            source(errors, &path.child(key), found);
        }
    }
    if let (Some(old), Some(new)) = (old, new)
        && get(new, "namespace").is_none()
        && ["apiGroup", "kind", "name"].iter().any(|key| text(old, key) != text(new, key))
    {
        // Upstream shows the path of the field where the value belongs, and that prints as nothing.
        errors.invalid_shown(&path, "{}", "must match dataSourceRef");
    }
}

fn source(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    for key in ["name", "kind"] {
        check::required(errors, &path.child(key), text(source, key));
    }
    match text_ptr(source, "apiGroup") {
        None | Some("") => {
            if text(source, "kind") != "PersistentVolumeClaim" {
                let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
                bad_text(errors, path, text(source, "kind"), detail);
            }
        }
        Some(group) => check::subdomain(errors, &path.child("apiGroup"), group),
    }
}

const STORAGE: [&str; 3] = ["resources", "requests", "storage"];

/// Of a claim little changes: its volume once, its class from nothing, and its size once it is bound.
pub fn update(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let (mut now, mut was) = (new["spec"].clone(), old["spec"].clone());
    let path = Path::new("spec");
    if text(&was, "volumeName").is_empty() {
        keep(&mut was, &now, "volumeName");
    }
    let annotated = get(&old["metadata"]["annotations"], "volume.beta.kubernetes.io/storage-class");
    let (class, old_class) = (text_ptr(&now, "storageClassName"), text_ptr(&was, "storageClassName"));
    // A class may be given to a claim that has none, or move from the annotation to the field.
    let given = annotated.is_none() && class.is_some();
    if old_class.is_none() && (given || annotated.and_then(Value::as_str) == class) {
        remove(&mut now, "storageClassName");
    }
    if text(&new["status"], "phase") == "Bound"
        && let Some(size) = at(&was, &STORAGE).cloned()
        && let Some(requests) = now.pointer_mut("/resources/requests")
    {
        set(requests, "storage", size);
    }
    keep(&mut now, &was, "volumeAttributesClassName");
    if !same(Some(&now), Some(&was)) {
        let pretty = |spec: &Value| internal::pretty("PersistentVolumeClaimSpec", spec);
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{}",
            diff::lines(&pretty(&was), &pretty(&now))
        );
        errors.forbidden(&path, detail);
    }
    let size = |spec: &Value| at(spec, &STORAGE).map(quantity);
    if let (Some(size), Some(old_size)) = (size(&new["spec"]), size(&old["spec"]))
        && size < old_size
        && let Some(held) = at(&old["status"], &["capacity", "storage"]).map(quantity)
        && size <= held
    {
        let path = path.child("resources");
        let path = path.child("requests");
        errors.forbidden(&path.child("storage"), "field can not be less than status.capacity");
    }
    let key = "volumeMode";
    let (now, was) = (get(&new["spec"], key), get(&old["spec"], key));
    check::immutable(errors, &Path::new(key), now, was, Value::to_string);
}
