//! Where containers have volumes: directories and devices.

use serde_json::Value;

use super::paths;
use super::volumes::Volumes;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{bad_text, one_of, required};
use crate::kinds::common::walk::{at, flag, get, list, text, text_ptr};

const PROPAGATIONS: &[&str] = &["Bidirectional", "HostToContainer", "None"];
const RECURSIVE: &[&str] = &["Disabled", "Enabled", "IfPossible"];

/// `volumeMounts` of a container.
pub fn mounts(errors: &mut FieldErrors, path: &Path<'_>, container: &Value, volumes: &Volumes<'_>) {
    let devices = list(container, "volumeDevices");
    let mounts = list(container, "volumeMounts");
    for (index, mount) in mounts.iter().enumerate() {
        let item = path.index(index);
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        required(errors, &item.child("name"), name);
        if volumes.get(name).is_none() {
            errors.not_found(&item.child("name"), &name.into());
        }
        required(errors, &item.child("mountPath"), place);
        if mounts[..index].iter().any(|earlier| text(earlier, "mountPath") == place) {
            bad_text(errors, &item.child("mountPath"), place, "must be unique");
        }
        if devices.iter().any(|device| text(device, "name") == name) {
            bad_text(errors, &item.child("name"), name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| text(device, "devicePath") == place) {
            let detail = "must not already exist as a path in volumeDevices";
            bad_text(errors, &item.child("mountPath"), place, detail);
        }
        let sub = text(mount, "subPath");
        if !sub.is_empty() {
            paths::descending(errors, &path.child("subPath"), sub);
        }
        let expression = text(mount, "subPathExpr");
        if !expression.is_empty() {
            if !sub.is_empty() {
                let detail = "subPathExpr and subPath are mutually exclusive";
                bad_text(errors, &item.child("subPathExpr"), expression, detail);
            }
            paths::descending(errors, &path.child("subPathExpr"), expression);
        }
        if let Some(mode) = text_ptr(mount, "mountPropagation") {
            let path = path.child("mountPropagation");
            one_of(errors, &path, mode, PROPAGATIONS);
            let privileged =
                at(container, &["securityContext", "privileged"]).is_some_and(|value| value == true);
            if mode == "Bidirectional" && !privileged {
                let detail = "Bidirectional mount propagation is available only to privileged containers";
                errors.forbidden(&path, detail);
            }
        }
        if let Some(mode) = text_ptr(mount, "recursiveReadOnly") {
            recursive(errors, &path.child("recursiveReadOnly"), mount, mode);
        }
    }
}

fn recursive(errors: &mut FieldErrors, path: &Path<'_>, mount: &Value, mode: &str) {
    one_of(errors, path, mode, RECURSIVE);
    if !matches!(mode, "Enabled" | "IfPossible") {
        return;
    }
    if !flag(mount, "readOnly") {
        errors.forbidden(path, "may only be specified when readOnly is true");
    }
    if text_ptr(mount, "mountPropagation").is_some_and(|mode| mode != "None") {
        errors.forbidden(path, "may only be specified when mountPropagation is None or not specified");
    }
}

/// `volumeDevices` of a container.
pub fn devices(errors: &mut FieldErrors, path: &Path<'_>, container: &Value, volumes: &Volumes<'_>) {
    let mounts = list(container, "volumeMounts");
    let devices = list(container, "volumeDevices");
    for (index, device) in devices.iter().enumerate() {
        let item = path.index(index);
        let (name, place) = (text(device, "name"), text(device, "devicePath"));
        let earlier = &devices[..index];
        required(errors, &item.child("name"), name);
        if !name.is_empty() && earlier.iter().any(|earlier| text(earlier, "name") == name) {
            bad_text(errors, &item.child("name"), name, "must be unique");
        }
        match volumes.get(name) {
            Some(volume)
                if get(volume, "persistentVolumeClaim").or_else(|| get(volume, "ephemeral")).is_none() =>
            {
                let detail =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                bad_text(errors, &item.child("name"), name, detail);
            }
            Some(_) => {}
            None => errors.not_found(&item.child("name"), &name.into()),
        }
        required(errors, &item.child("devicePath"), place);
        let used = |place: &str| {
            earlier.iter().any(|earlier| text(earlier, "devicePath") == place && !paths::goes_up(place))
        };
        if used(place) {
            bad_text(errors, &item.child("devicePath"), place, "must be unique");
        }
        if paths::goes_up(place) {
            bad_text(errors, &item.child("devicePath"), place, "can not contain backsteps ('..')");
        }
        if mounts.iter().any(|mount| text(mount, "name") == name) {
            bad_text(errors, &item.child("name"), name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| text(mount, "mountPath") == place) {
            let detail = "must not already exist as a path in volumeMounts";
            bad_text(errors, &item.child("devicePath"), place, detail);
        }
    }
}
