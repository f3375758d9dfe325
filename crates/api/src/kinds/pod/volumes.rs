//! Volumes of a pod.

use serde_json::Value;

use super::{ephemeral_claim, old_volumes, paths, projected, spec};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text, one_of, required};
use crate::kinds::common::walk::{at, get, int_ptr, list, text, text_ptr};
use crate::meta::names;

use super::quantities::quantity;

/// Every source, in the order in which upstream looks at them: its name, the name under which a second one is
/// refused, and its check.
type Check = fn(&mut FieldErrors, &Path<'_>, &Value);
const SOURCES: &[(&str, &str, Check)] = &[
    ("emptyDir", "emptyDir", empty_dir),
    ("hostPath", "hostPath", host_path),
    ("gitRepo", "gitRepo", git_repo),
    ("gcePersistentDisk", "gcePersistentDisk", old_volumes::gce),
    ("awsElasticBlockStore", "awsElasticBlockStore", old_volumes::aws),
    ("secret", "secret", secret),
    ("nfs", "nfs", old_volumes::nfs),
    ("iscsi", "iscsi", old_volumes::iscsi),
    ("glusterfs", "glusterfs", old_volumes::glusterfs),
    ("flocker", "flocker", old_volumes::flocker),
    ("persistentVolumeClaim", "persistentVolumeClaim", claim),
    ("rbd", "rbd", old_volumes::rbd),
    ("cinder", "cinder", old_volumes::cinder),
    ("cephfs", "cephFS", old_volumes::cephfs),
    ("quobyte", "quobyte", old_volumes::quobyte),
    ("downwardAPI", "downwarAPI", projected::downward_api),
    ("fc", "fc", old_volumes::fc),
    ("flexVolume", "flexVolume", old_volumes::flex),
    ("configMap", "configMap", config_map),
    ("azureFile", "azureFile", old_volumes::azure_file),
    ("vsphereVolume", "vsphereVolume", old_volumes::vsphere),
    ("photonPersistentDisk", "photonPersistentDisk", old_volumes::photon),
    ("portworxVolume", "portworxVolume", old_volumes::portworx),
    ("azureDisk", "azureDisk", old_volumes::azure_disk),
    ("storageos", "storageos", old_volumes::storageos),
    ("projected", "projected", projected::projected),
    ("scaleIO", "scaleIO", old_volumes::scale_io),
    ("csi", "csi", csi),
    ("ephemeral", "ephemeral", ephemeral_claim::ephemeral),
    ("image", "image", image),
];

const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// The volumes that are all right, by name: only these may be mounted.
#[derive(Default)]
pub struct Volumes<'a>(Vec<(&'a str, &'a Value)>);

impl<'a> Volumes<'a> {
    /// A volume.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, volume)| *volume)
    }
}

/// `spec.volumes`.
pub fn volumes<'a>(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    spec: &'a Value,
    pod_name: &str,
    options: spec::Options,
) -> Volumes<'a> {
    let mut good = Volumes::default();
    let all = list(spec, "volumes");
    for (index, volume) in all.iter().enumerate() {
        let path = path.index(index);
        let before = errors.0.len();
        let name = text(volume, "name");
        source(errors, &path, volume, name, pod_name, options);
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            check::label(errors, &path.child("name"), name);
        }
        if good.get(name).is_some() {
            errors.duplicate(&path.child("name"), &name.into());
        }
        if errors.0.len() == before {
            good.0.push((name, volume));
        }
        made_elsewhere(errors, &path, volume, all, pod_name);
    }
    good
}

/// A claim that the pod makes for itself can't be named as one that is there.
fn made_elsewhere(errors: &mut FieldErrors, path: &Path<'_>, volume: &Value, all: &[Value], pod_name: &str) {
    if pod_name.is_empty() {
        return;
    }
    let Some(claim) = at(volume, &["persistentVolumeClaim", "claimName"]).and_then(Value::as_str) else {
        return;
    };
    let made = |other: &Value| {
        get(other, "ephemeral").is_some()
            && claim.strip_prefix(pod_name).and_then(|rest| rest.strip_prefix('-'))
                == Some(text(other, "name"))
    };
    if all.iter().any(made) {
        let path = path.child("persistentVolumeClaim");
        let detail = "must not reference a PVC that gets created for an ephemeral volume";
        bad_text(errors, &path.child("claimName"), claim, detail);
    }
}

fn source(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    volume: &Value,
    name: &str,
    pod_name: &str,
    options: spec::Options,
) {
    let mut found = false;
    for (key, second, check) in SOURCES {
        let Some(source) = get(volume, key) else { continue };
        if found {
            errors.forbidden(&path.child(second), "may not specify more than 1 volume type");
            continue;
        }
        found = true;
        // The path of this one has another name than its field.
        let key = if *key == "gcePersistentDisk" { "persistentDisk" } else { key };
        check(errors, &path.child(key), source);
        match key {
            "iscsi" => old_volumes::iscsi_name(errors, path, source, name),
            "ephemeral" if !pod_name.is_empty() && !name.is_empty() => {
                ephemeral_claim::claim_name(errors, path, pod_name, name);
            }
            "image" if options.is_pod && text(source, "reference").is_empty() => {
                errors.required(&path.child("image").child("reference"), "");
            }
            _ => {}
        }
    }
    if !found {
        errors.required(path, "must specify a volume type");
    }
}

fn empty_dir(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    if get(source, "sizeLimit").is_some_and(|limit| quantity(limit).sign() < 0) {
        errors.forbidden(&path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
    }
}

fn host_path(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    let place = text(source, "path");
    if place.is_empty() {
        return errors.required(&path.child("path"), "");
    }
    paths::no_backsteps(errors, &path.child("path"), place);
    if let Some(kind) = text_ptr(source, "type") {
        one_of(errors, &path.child("type"), kind, HOST_PATH_TYPES);
    }
}

fn git_repo(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    required(errors, &path.child("repository"), text(source, "repository"));
    paths::descending(errors, &path.child("directory"), text(source, "directory"));
}

fn secret(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    required(errors, &path.child("secretName"), text(source, "secretName"));
    files(errors, path, source);
}

fn config_map(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    required(errors, &path.child("name"), text(source, "name"));
    files(errors, path, source);
}

fn files(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    mode(errors, path, source, "defaultMode");
    let path = path.child("items");
    for (index, item) in list(source, "items").iter().enumerate() {
        key_to_path(errors, &path.index(index), item);
    }
}

/// An entry of `items`: which key becomes which file.
pub fn key_to_path(errors: &mut FieldErrors, path: &Path<'_>, item: &Value) {
    required(errors, &path.child("key"), text(item, "key"));
    required(errors, &path.child("path"), text(item, "path"));
    paths::descending_not_reserved(errors, &path.child("path"), text(item, "path"));
    mode(errors, path, item, "mode");
}

/// The mode of files.
pub fn mode(errors: &mut FieldErrors, path: &Path<'_>, source: &Value, key: &str) {
    if let Some(mode) = int_ptr(source, key)
        && !(0..=0o777).contains(&mode)
    {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.invalid(&path.child(key), &mode.into(), detail);
    }
}

fn claim(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    required(errors, &path.child("claimName"), text(source, "claimName"));
}

fn csi(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    let driver = text(source, "driver");
    let place = path.child("driver");
    required(errors, &place, driver);
    if driver.len() > names::LABEL_BYTES_MAX {
        errors.too_long(&place, names::LABEL_BYTES_MAX);
    }
    check::messages(errors, &place, driver, names::dns1123_subdomain(&driver.to_lowercase()));
    if let Some(secret) = get(source, "nodePublishSecretRef") {
        let name = text(secret, "name");
        if name.is_empty() {
            errors.required(&path.child("nodePublishSecretRef.name"), "");
        } else {
            check::subdomain(errors, &path.child("name"), name);
        }
    }
}

fn image(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    super::containers::pull_policy(errors, &path.child("pullPolicy"), text(source, "pullPolicy"));
}
