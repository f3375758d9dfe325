//! Checks of PersistentVolumes.

use serde_json::Value;

use super::old_sources;
use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::kinds::common::check::{self, one_of};
use crate::kinds::common::csi;
use crate::kinds::common::storage;
use crate::kinds::common::walk::{get, get_mut, list, map, remove, same, text, text_ptr};
use crate::kinds::pod::quantities::quantity;
use crate::kinds::pod::{affinity, diff, internal, old_volumes, paths};

type Check = fn(&mut FieldErrors, &Path<'_>, &Value);

/// Where a volume can come from, in upstream's order: of two, the second is refused.
const SOURCES: &[(&str, Check)] = &[
    ("hostPath", host_path),
    ("gcePersistentDisk", old_volumes::gce),
    ("awsElasticBlockStore", old_volumes::aws),
    ("glusterfs", old_sources::glusterfs),
    ("flocker", old_volumes::flocker),
    ("nfs", old_volumes::nfs),
    ("rbd", old_volumes::rbd),
    ("quobyte", old_volumes::quobyte),
    ("cephfs", old_volumes::cephfs),
    ("iscsi", old_sources::iscsi),
    ("cinder", old_sources::cinder),
    ("fc", old_volumes::fc),
    ("flexVolume", old_volumes::flex),
    ("azureFile", old_sources::azure_file),
    ("vsphereVolume", old_volumes::vsphere),
    ("photonPersistentDisk", old_volumes::photon),
    ("portworxVolume", old_volumes::portworx),
    ("azureDisk", old_volumes::azure_disk),
    ("scaleIO", old_volumes::scale_io),
    ("local", local),
    ("storageos", old_sources::storageos),
    ("csi", csi_source),
];

/// Checks an object.
pub fn object(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    modes(spec, &path, errors);
    capacity(spec, &path, errors);
    let policy = text(spec, "persistentVolumeReclaimPolicy");
    let place = path.child("persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        one_of(errors, &place, policy, &["Delete", "Recycle", "Retain"]);
    }
    if let Some(selector) = get(spec, "nodeAffinity") {
        let path = path.child("nodeAffinity");
        match get(selector, "required") {
            Some(required) => affinity::node_selector(errors, &path.child("required"), required),
            None => errors.required(&path.child("required"), "must specify required node constraints"),
        }
    }
    if let Some(source) = get(spec, "iscsi") {
        let name = text(&object["metadata"], "name");
        old_sources::iscsi_name(errors, &path.child("iscsi"), source, name);
    }
    sources(spec, &path, errors);
    let root = get(spec, "hostPath").is_some_and(|host| is_root(text(host, "path")));
    if root && policy == "Recycle" {
        errors.forbidden(&place, "may not be 'recycle' for a hostPath mount of '/'");
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        check::subdomain(errors, &path.child("storageClassName"), class);
    }
    if let Some(mode) = text_ptr(spec, "volumeMode") {
        one_of(errors, &path.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
    attributes_class(spec, &path, errors);
}

/// Whether nothing is left of a path but the root.
fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|part| matches!(part, "" | "."))
}

fn attributes_class(spec: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let Some(class) = text_ptr(spec, "volumeAttributesClassName") else { return };
    let place = path.child("volumeAttributesClassName");
    if class.is_empty() {
        errors.required(&place, "an empty string is disallowed");
    } else {
        check::subdomain(errors, &place, class);
    }
    if get(spec, "csi").is_none() {
        let detail = "has to be specified when using volumeAttributesClassName";
        errors.required(&path.child("csi"), detail);
    }
}

/// Checks the spec of a volume that an attachment brings along.
pub fn inline(spec: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let context = "in the context of inline volumes";
    let refuse = |errors: &mut FieldErrors, key: &str, set: bool, detail: &str| {
        if set {
            errors.forbidden(&path.child(key), format!("{detail} {context}"));
        }
    };
    let never = "may not be specified";
    refuse(errors, "claimRef", get(spec, "claimRef").is_some(), never);
    refuse(errors, "capacity", !map(spec, "capacity").is_empty(), never);
    if get(spec, "csi").is_none() {
        errors.required(&path.child("csi"), format!("has to be specified {context}"));
    }
    modes(spec, path, errors);
    let policy = text(spec, "persistentVolumeReclaimPolicy");
    let kept = matches!(policy, "" | "Retain");
    refuse(errors, "persistentVolumeReclaimPolicy", !kept, "may only be Retain");
    refuse(errors, "nodeAffinity", get(spec, "nodeAffinity").is_some(), never);
    sources(spec, path, errors);
    refuse(errors, "storageClassName", !text(spec, "storageClassName").is_empty(), never);
    let block = text_ptr(spec, "volumeMode").is_some_and(|mode| mode != "Filesystem");
    refuse(errors, "volumeMode", block, "may not specify volumeMode other than Filesystem");
    attributes_class(spec, path, errors);
}

/// One source, of which upstream's paths have spellings of their own.
fn sources(spec: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let mut found = 0;
    for (key, check) in SOURCES {
        let Some(source) = get(spec, key) else { continue };
        found += 1;
        if found > 1 && *key != "flexVolume" {
            let shown = if *key == "cephfs" { "cephFS" } else { *key };
            errors.forbidden(&path.child(shown), "may not specify more than 1 volume type");
            continue;
        }
        let shown = if *key == "gcePersistentDisk" { "persistentDisk" } else { *key };
        check(errors, &path.child(shown), source);
        if *key == "local" && get(spec, "nodeAffinity").is_none() {
            errors.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
        }
    }
    if found == 0 {
        errors.required(path, "must specify a volume type");
    }
}

fn modes(spec: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let path = path.child("accessModes");
    if list(spec, "accessModes").is_empty() {
        errors.required(&path, "");
    }
    storage::check_modes(errors, &path, spec);
}

fn capacity(spec: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let path = path.child("capacity");
    let capacity = map(spec, "capacity");
    if capacity.is_empty() {
        errors.required(&path, "");
    }
    if capacity.len() != 1 || !capacity.contains_key("storage") {
        errors.not_supported(&path, &spec["capacity"], &["storage"]);
    }
    for (name, amount) in capacity {
        let amount = quantity(amount);
        if amount.sign() < 0 {
            let shown = amount.value().into();
            errors.invalid(&path.key(name), &shown, "must be a valid resource quantity");
        }
        if amount.sign() <= 0 {
            errors.invalid(&path.key(name), &amount.to_string().into(), "must be greater than zero");
        }
    }
}

fn host_path(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    match text(source, "path") {
        "" => return errors.required(&path.child("path"), ""),
        given => paths::no_backsteps(errors, &path.child("path"), given),
    }
    let kinds = &[
        "",
        "BlockDevice",
        "CharDevice",
        "Directory",
        "DirectoryOrCreate",
        "File",
        "FileOrCreate",
        "Socket",
    ];
    if let Some(kind) = text_ptr(source, "type") {
        one_of(errors, &path.child("type"), kind, kinds);
    }
}

fn local(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    match text(source, "path") {
        "" => errors.required(&path.child("path"), ""),
        given => paths::no_backsteps(errors, &path.child("path"), given),
    }
}

fn csi_source(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    csi::driver_name(errors, &path.child("driver"), text(source, "driver"));
    check::required(errors, &path.child("volumeHandle"), text(source, "volumeHandle"));
    for key in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        let Some(secret) = get(source, key) else { continue };
        let path = path.child(key);
        match text(secret, "name") {
            "" => errors.required(&path.child("name"), ""),
            name => check::subdomain(errors, &path.child("name"), name),
        }
        match text(secret, "namespace") {
            "" => errors.required(&path.child("namespace"), ""),
            namespace => check::label(errors, &path.child("namespace"), namespace),
        }
    }
}

/// The source of a volume stays; so does the mode, and an affinity once it is there.
pub fn update(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let (mut now, was) = (new["spec"].clone(), &old["spec"]);
    let growing = "controllerExpandSecretRef";
    if get(was, "csi").is_some_and(|csi| get(csi, growing).is_none())
        && let Some(csi) = get_mut(&mut now, "csi")
    {
        remove(csi, growing);
    }
    let now = &now;
    if SOURCES.iter().any(|(key, _)| !same(get(now, key), get(was, key))) {
        let pretty = |spec: &Value| internal::pretty("PersistentVolumeSource", spec);
        let detail = format!(
            "spec.persistentvolumesource is immutable after creation\n{}",
            diff::lines(&pretty(was), &pretty(now))
        );
        let path = Path::new("spec");
        errors.forbidden(&path.child("persistentvolumesource"), detail);
    }
    let key = "volumeMode";
    check::immutable(errors, &Path::new(key), get(now, key), get(was, key), Value::to_string);
    let key = "nodeAffinity";
    if get(was, key).is_some() && !same(get(now, key), get(was, key)) {
        let shown = get(now, key)
            .map_or_else(|| "null".to_owned(), |affinity| internal::json("VolumeNodeAffinity", affinity));
        let detail = "field is immutable, except for updating from beta label to GA";
        check::push(errors, FieldErrorKind::Invalid, &Path::new(key), Some(shown), detail);
    }
    let key = "volumeAttributesClassName";
    if get(was, key).is_some() && get(now, key).is_none() {
        let path = Path::new("spec");
        errors.forbidden(&path.child(key), "update from non-nil value to nil is forbidden");
    }
}
