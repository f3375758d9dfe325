//! Ephemeral containers, which are added to a running pod. KEP-277.

use serde_json::Value;

use super::annotations::MIRROR;
use super::containers::{self, Around};
use super::{diff, internal};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::walk::{at, get, list, same, text};

/// Fields of a container that ephemeral ones don't have, in Go's order.
const NOT_FOR_THEM: &[&str] = &[
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];
const DETAIL: &str = "cannot be set for an Ephemeral Container";

/// `spec.ephemeralContainers`.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, around: &Around<'_>) {
    let all = list(spec, "ephemeralContainers");
    for (index, container) in all.iter().enumerate() {
        let path = path.index(index);
        containers::common(errors, &path, container, around);
        containers::image_blanks(errors, &path, container);
        let lasting = |name: &str| {
            let mut others = list(spec, "containers").iter().chain(list(spec, "initContainers"));
            others.any(|other| text(other, "name") == name)
        };
        let name = text(container, "name");
        if lasting(name) || all[..index].iter().any(|other| text(other, "name") == name) {
            errors.duplicate(&path.child("name"), &name.into());
        }
        let target = text(container, "targetContainerName");
        if !target.is_empty() && !lasting(target) {
            errors.not_found(&path.child("targetContainerName"), &target.into());
        }
        for key in NOT_FOR_THEM {
            // Behind a pointer, an object without fields is something too.
            if get(container, key).is_some_and(|value| key == &"lifecycle" || !same(Some(value), None)) {
                errors.forbidden(&path.child(key), DETAIL);
            }
        }
        let mounts = path.child("volumeMounts");
        for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
            for key in ["subPath", "subPathExpr"] {
                if !text(mount, key).is_empty() {
                    errors.forbidden(&mounts.index(index).child(key), DETAIL);
                }
            }
        }
    }
}

/// What may change: more may come, none may go or become another.
pub fn validate_update(errors: &mut FieldErrors, new: &Value, old: &Value) {
    if at(old, &["metadata", "annotations", MIRROR]).is_some() {
        errors.0.clear();
        return errors.forbidden(&Path::ROOT, "static pods do not support ephemeral containers");
    }
    let path = Path::new("spec");
    let path = path.child("ephemeralContainers");
    let now = list(&new["spec"], "ephemeralContainers");
    for container in list(&old["spec"], "ephemeralContainers") {
        let name = text(container, "name");
        match now.iter().rev().find(|each| text(each, "name") == name) {
            None => {
                errors
                    .forbidden(&path, format!("existing ephemeral containers {name:?} may not be removed\n"));
            }
            Some(changed) if !same(Some(changed), Some(container)) => {
                let diff = diff::lines(
                    &internal::pretty("EphemeralContainer", container),
                    &internal::pretty("EphemeralContainer", changed),
                );
                let detail = format!("existing ephemeral containers {name:?} may not be changed\n{diff}");
                errors.forbidden(&path, detail);
            }
            Some(_) => {}
        }
    }
}
