//! Annotations that mean something to pods.

use serde_json::{Map, Value};

use super::apparmor;
use super::containers::visit;
use super::paths;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::bad_text;
use crate::kinds::common::walk::{at, get, map, text};

/// Pods that a node made by itself.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
/// Seccomp profiles, which were annotations before they were fields.
pub const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// The same for a container, whose name ends the key.
pub const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Annotations of a pod or template; `path` is theirs.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, metadata: &Value, spec: &Value) {
    let annotations = map(metadata, "annotations");
    if annotations.is_empty() {
        return;
    }
    let value = |key: &str| annotations.get(key).and_then(Value::as_str);
    if let Some(mirror) = value(MIRROR)
        && text(spec, "nodeName").is_empty()
    {
        bad_text(errors, &path.key(MIRROR), mirror, "must set spec.nodeName if mirror pod annotation is set");
    }
    if let Some(cost) = value(DELETION_COST)
        && !is_cost(cost)
    {
        bad_text(errors, &path.key(DELETION_COST), cost, "must be a 32bit integer");
    }
    if let Some(profile) = value(SECCOMP_POD) {
        seccomp(errors, &path.child(SECCOMP_POD), profile);
    }
    for (key, profile) in annotations {
        let profile = profile.as_str().unwrap_or_default();
        if key.starts_with(SECCOMP_CONTAINER) {
            seccomp(errors, &path.child(key), profile);
        }
    }
    for (key, profile) in annotations {
        let profile = profile.as_str().unwrap_or_default();
        let Some(container) = key.strip_prefix(apparmor::ANNOTATION) else { continue };
        let mut known = false;
        visit(spec, &Path::ROOT, &mut |each, _| known |= text(each, "name") == container);
        if !known {
            bad_text(errors, &path.key(key), container, "container not found");
        }
        if !(matches!(profile, "" | "runtime/default" | "unconfined") || profile.starts_with("localhost/")) {
            let detail = format!("invalid AppArmor profile name: {profile:?}");
            bad_text(errors, &path.key(key), profile, detail);
        }
    }
}

/// A number as controllers read it: no sign but minus, no leading zeros.
fn is_cost(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (digits == "0" || !digits.starts_with('0')) && !digits.starts_with('+') && text.parse::<i32>().is_ok()
}

fn seccomp(errors: &mut FieldErrors, path: &Path<'_>, profile: &str) {
    if matches!(profile, "runtime/default" | "docker/default" | "unconfined") {
        return;
    }
    match profile.strip_prefix("localhost/") {
        Some(file) => paths::descending(errors, path, file),
        None => bad_text(errors, path, profile, "must be a valid seccomp profile"),
    }
}

/// Where a profile is both an annotation and a field, they say the same.
pub fn match_fields(errors: &mut FieldErrors, path: &Path<'_>, metadata: &Value, spec: &Value) {
    let annotations = map(metadata, "annotations");
    if annotations.is_empty() {
        return;
    }
    if let Some(annotation) = annotations.get(SECCOMP_POD).and_then(Value::as_str)
        && let Some(field) = at(spec, &["securityContext", "seccompProfile"])
    {
        let path = path.child("securityContext");
        compare(errors, &path.child("seccompProfile"), annotation, field, "seccomp");
    }
    containers(errors, path, annotations, spec, SECCOMP_CONTAINER, "seccompProfile", "seccomp", None);
    if at(spec, &["os", "name"]).is_none_or(|name| name != "windows") {
        let of_pod = at(spec, &["securityContext", "appArmorProfile"]);
        containers(
            errors,
            path,
            annotations,
            spec,
            apparmor::ANNOTATION,
            "appArmorProfile",
            "apparmor",
            of_pod,
        );
    }
}

#[allow(clippy::too_many_arguments, reason = "the same walk for both kinds of profiles")]
fn containers(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    annotations: &Map<String, Value>,
    spec: &Value,
    prefix: &str,
    key: &str,
    what: &str,
    of_pod: Option<&Value>,
) {
    if !annotations.keys().any(|key| key.starts_with(prefix)) {
        return;
    }
    visit(spec, path, &mut |container, path| {
        let Some(field) = at(container, &["securityContext", key]).or(of_pod) else { return };
        let annotation = annotations.get(&format!("{prefix}{}", text(container, "name")));
        if let Some(annotation) = annotation.and_then(Value::as_str) {
            compare(errors, &path.child("securityContext").child(key), annotation, field, what);
        }
    });
}

fn compare(errors: &mut FieldErrors, path: &Path<'_>, annotation: &str, field: &Value, what: &str) {
    let agree = match text(field, "type") {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => {
            annotation == "runtime/default" || what == "seccomp" && annotation == "docker/default"
        }
        "Localhost" => match annotation.strip_prefix("localhost/") {
            Some(file) => {
                if get(field, "localhostProfile").is_none_or(|profile| profile != file) {
                    let detail = format!("{what} profile in annotation and field must match");
                    errors.forbidden(&path.child("localhostProfile"), detail);
                }
                true
            }
            None => false,
        },
        _ => true,
    };
    if !agree {
        errors.forbidden(&path.child("type"), format!("{what} type in annotation and field must match"));
    }
}

/// Annotations that stay as they are once the pod is made.
pub fn validate_update(errors: &mut FieldErrors, path: &Path<'_>, new: &Value, old: &Value) {
    let nothing = Value::Null;
    let of = |pod: &Value| get(pod, "metadata").unwrap_or(&nothing).clone();
    let (new_metadata, old_metadata) = (of(new), of(old));
    let (now, before) = (map(&new_metadata, "annotations"), map(&old_metadata, "annotations"));
    let kept = |key: &str| key.starts_with(apparmor::ANNOTATION) || key == MIRROR;
    let words = |key: &str, many: &str| {
        if key == MIRROR {
            format!("may not {many} mirror pod annotation")
        } else {
            format!("may not {many} AppArmor annotations")
        }
    };
    for key in
        before.iter().filter(|(key, value)| kept(key) && now.get(*key) != Some(value)).map(|(key, _)| key)
    {
        errors.forbidden(&path.key(key), words(key, "remove or update"));
    }
    for key in now.keys().filter(|key| kept(key) && !before.contains_key(*key)) {
        errors.forbidden(&path.key(key), words(key, "add"));
    }
    validate(errors, path, &new_metadata, &new["spec"]);
}
