//! Checks of PersistentVolumeClaims.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::storage::CLASS_ANNOTATION;
use crate::kinds::common::walk::{at, get, keep, map, remove, same, set, text, text_ptr};
use crate::kinds::pod::quantities::quantity;
use crate::kinds::pod::{diff, ephemeral_claim, internal};
use crate::meta::names;

/// Checks the spec. A group of a source that stood there before may be as it is.
pub fn spec(object: &Value, was: Option<&Value>, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    ephemeral_claim::claim_spec(errors, &path, spec);
    let (old, new) = (get(spec, "dataSource"), get(spec, "dataSourceRef"));
    let grouped = |source: Option<&Value>| source.is_some_and(|source| get(source, "apiGroup").is_some());
    let any_group = was.is_some_and(|was| {
        grouped(get(&was["spec"], "dataSource")) || grouped(get(&was["spec"], "dataSourceRef"))
    });
    for (key, found) in [("dataSource", old), ("dataSourceRef", new)] {
        if let Some(found) = found {
            source(errors, &path.child(key), found, any_group);
        }
    }
    let namespace = new.map_or("", |new| text(new, "namespace"));
    if !namespace.is_empty() {
        check::label(errors, &path.child("dataSourceRef").child("namespace"), namespace);
    }
    if let (Some(old), Some(new)) = (old, new) {
        // Upstream shows the path of the field where the value belongs, and that prints as nothing.
        if !namespace.is_empty() {
            errors.invalid_shown(
                &path,
                "{}",
                "may not be specified when dataSourceRef.namespace is specified",
            );
        } else if ["apiGroup", "kind", "name"].iter().any(|key| get(old, key) != get(new, key)) {
            errors.invalid_shown(&path, "{}", "must match dataSourceRef");
        }
    }
    let class = text(spec, "volumeAttributesClassName");
    if !class.is_empty() {
        check::subdomain(errors, &path.child("volumeAttributesClassName"), class);
    }
}

fn source(errors: &mut FieldErrors, path: &Path<'_>, source: &Value, any_group: bool) {
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
        Some(_) if any_group => {}
        Some(group) => check::subdomain(errors, &path.child("apiGroup"), group),
    }
}

/// What a resize may be at.
const RESIZES: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

/// Checks the status.
pub fn status(object: &Value, errors: &mut FieldErrors) {
    let status = &object["status"];
    let root = Path::new("status");
    let basic = |errors: &mut FieldErrors, path: &Path<'_>, amount: &Value| {
        let amount = quantity(amount);
        if amount.sign() < 0 {
            errors.invalid(path, &amount.value().into(), "must be a valid resource quantity");
        }
    };
    let path = root.child("capacity");
    for (name, amount) in map(status, "capacity") {
        basic(errors, &path.key(name), amount);
    }
    // Upstream's path has this spelling.
    let path = root.child("allocatedResourceStatus");
    for (name, at) in map(status, "allocatedResourceStatuses") {
        resource(errors, &path, name);
        if at.as_str().is_none_or(|at| !RESIZES.contains(&at)) {
            errors.not_supported(&path, &name.as_str().into(), RESIZES);
        }
    }
    let path = root.child("allocatedResources");
    for (name, amount) in map(status, "allocatedResources") {
        let before = errors.0.len();
        resource(errors, &path, name);
        if errors.0.len() == before {
            basic(errors, &path.key(name), amount);
        }
    }
}

/// Of Kubernetes' own resources a claim has `storage` alone.
fn resource(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    let messages = names::qualified_name(name);
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    if messages.is_empty() && native && name != "storage" {
        errors.not_supported(path, &name.into(), &["storage"]);
    }
    check::messages(errors, path, name, messages);
}

const STORAGE: [&str; 3] = ["resources", "requests", "storage"];

/// Of a claim little changes: its volume once, its class from nothing, and its size once it is bound.
pub fn update(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let (mut now, mut was) = (new["spec"].clone(), old["spec"].clone());
    let path = Path::new("spec");
    if text(&was, "volumeName").is_empty() {
        keep(&mut was, &now, "volumeName");
    }
    let noted = |object: &Value| {
        get(&object["metadata"]["annotations"], CLASS_ANNOTATION).and_then(Value::as_str).map(str::to_owned)
    };
    let (note, old_note) = (noted(new), noted(old));
    let (class, old_class) = (text_ptr(&now, "storageClassName"), text_ptr(&was, "storageClassName"));
    // A class may be given to a claim that has none, or move from the annotation to the field.
    let fits =
        old_class.is_none() && class.is_some() && old_note.as_deref().is_none_or(|note| Some(note) == class);
    let moves = fits && old_note.is_some() && (note.is_none() || note == old_note);
    if !moves && note != old_note {
        let metadata = Path::new("metadata.annotations");
        bad_text(
            errors,
            &metadata.child(CLASS_ANNOTATION),
            note.as_deref().unwrap_or_default(),
            "field is immutable",
        );
    }
    if fits {
        remove(&mut now, "storageClassName");
    }
    let bound = text(&new["status"], "phase") == "Bound";
    if bound
        && let Some(size) = at(&was, &STORAGE).cloned()
        && let Some(requests) = now.pointer_mut("/resources/requests")
    {
        set(requests, "storage", size);
    }
    let key = "volumeAttributesClassName";
    if bound && get(&now, key).is_some() {
        keep(&mut now, &was, key);
    }
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
    let key = "volumeAttributesClassName";
    if get(&old["status"], "currentVolumeAttributesClassName").is_some()
        && let Some(to) = match text_ptr(&new["spec"], key) {
            None => Some("nil"),
            Some("") => Some("empty string"),
            Some(_) => None,
        }
        && get(&new["spec"], key) != get(&old["spec"], key)
    {
        let path = Path::new("spec");
        let why = "is forbidden when status.currentVolumeAttributesClassName is not nil";
        errors.forbidden(&path.child(key), format!("update to {to} {why}"));
    }
}
