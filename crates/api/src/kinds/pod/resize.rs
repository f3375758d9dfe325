//! What a resize in place may change: CPU and memory, without taking any away. KEP-1287, KEP-5419.

use serde_json::Value;

use super::annotations::MIRROR;
use super::spec_defaults::restarts_always;
use super::{qos, spec};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::bad_text;
use crate::kinds::common::walk::{at, ensure, get, list, list_mut, map, map_of, remove, same, text};

const MUTABLE: [&str; 2] = ["cpu", "memory"];

/// The checks.
pub fn validate(errors: &mut FieldErrors, new: &Value, old: &Value) {
    let before = errors.0.len();
    spec::validate_pod(errors, new);
    let refusal = if at(old, &["metadata", "annotations", MIRROR]).is_some() {
        Some("static pods cannot be resized")
    } else if at(old, &["spec", "os", "name"]).is_some_and(|name| name == "windows") {
        Some("windows pods cannot be resized")
    } else {
        None
    };
    if let Some(refusal) = refusal {
        errors.0.truncate(before);
        return errors.forbidden(&Path::ROOT, refusal);
    }
    let path = Path::new("spec");
    let (now, was) = (&new["spec"], &old["spec"]);
    let class = match text(&old["status"], "qosClass") {
        "" => qos::class(was),
        class => class,
    };
    if class != qos::class(now) {
        let shown = text(&new["status"], "qosClass");
        bad_text(errors, &path, shown, "Pod QOS Class may not change as a result of resizing");
    }
    if !node_can(&old["status"]) {
        errors.forbidden(&path, "Pod running on node without support for resize");
    }
    let mut munged = now.clone();
    if is_set(get(now, "resources")) || is_set(get(was, "resources")) {
        pod_level(errors, &path, now, was, &mut munged);
    }
    if !same_order(errors, &path, now, was) {
        return;
    }
    for key in ["initContainers", "containers"] {
        let path = path.child(key);
        for (index, (container, earlier)) in list(now, key).iter().zip(list(was, key)).enumerate() {
            not_removed(errors, &path.index(index).child("resources"), container, earlier);
        }
    }
    only_mutable(errors, &path, now, was, &mut munged);
    if errors.0.len() == before && !same(Some(&munged), Some(was)) {
        errors.forbidden(&path, "only cpu and memory resources are mutable");
    }
}

/// A node shows that it can by showing what running containers have.
fn node_can(status: &Value) -> bool {
    list(status, "containerStatuses")
        .iter()
        .find(|container| at(container, &["state", "running"]).is_some())
        .is_none_or(|container| get(container, "resources").is_some())
}

fn is_set(resources: Option<&Value>) -> bool {
    resources.is_some_and(|resources| {
        !map(resources, "requests").is_empty() || !map(resources, "limits").is_empty()
    })
}

fn same_order(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, was: &Value) -> bool {
    let before = errors.0.len();
    for key in ["containers", "initContainers"] {
        let path = path.child(key);
        let (all, earlier) = (list(now, key), list(was, key));
        if all.len() != earlier.len() {
            errors.forbidden(&path, format!("{key} may not be added or removed on resize"));
            continue;
        }
        for (index, (container, earlier)) in all.iter().zip(earlier).enumerate() {
            if text(container, "name") != text(earlier, "name") {
                let detail = format!("{key} may not be renamed or reordered on resize");
                errors.forbidden(&path.index(index).child("name"), detail);
            }
        }
    }
    errors.0.len() == before
}

fn removed(now: Option<&Value>, was: Option<&Value>, key: &str) -> bool {
    let has = |name: &String| now.is_some_and(|now| map(now, key).contains_key(name));
    was.is_some_and(|was| !map(was, key).keys().all(has))
}

fn not_removed(errors: &mut FieldErrors, path: &Path<'_>, container: &Value, earlier: &Value) {
    for (key, words) in [("requests", "resource requests"), ("limits", "resource limits")] {
        if removed(get(container, "resources"), get(earlier, "resources"), key) {
            errors.forbidden(&path.child(key), format!("{words} cannot be removed"));
        }
    }
}

fn pod_level(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, was: &Value, munged: &mut Value) {
    let (resources, earlier) = (get(now, "resources"), get(was, "resources"));
    let place = path.child("resources");
    if earlier.is_some() && resources.is_none() {
        return errors.forbidden(&place, "pod-level resources cannot be removed");
    }
    for key in ["requests", "limits"] {
        if removed(resources, earlier, key) {
            errors.forbidden(&place.child(key), format!("pod-level resource {key} cannot be removed"));
        }
    }
    let nothing = Value::Null;
    restore(ensure(munged, "resources"), earlier.unwrap_or(&nothing));
    if earlier.is_none() && get(munged, "resources").is_some_and(|rest| same(Some(rest), None)) {
        remove(munged, "resources");
    }
    if !same(get(munged, "resources"), earlier) {
        errors.forbidden(path, "only cpu and memory resources are mutable at pod-level");
    }
}

/// Gives CPU and memory back as they were; nothing else of the resources is touched.
fn restore(resources: &mut Value, was: &Value) {
    for key in ["requests", "limits"] {
        let list = map_of(ensure(resources, key));
        for name in MUTABLE {
            match map(was, key).get(name) {
                Some(value) => {
                    list.insert(name.to_owned(), value.clone());
                }
                None => {
                    list.remove(name);
                }
            }
        }
        if list.is_empty() {
            remove(resources, key);
        }
    }
}

fn only_mutable(errors: &mut FieldErrors, path: &Path<'_>, now: &Value, was: &Value, munged: &mut Value) {
    let nothing = Value::Null;
    for (container, earlier) in list_mut(munged, "containers").iter_mut().zip(list(was, "containers")) {
        restore_container(container, earlier, &nothing);
        if !same(Some(container), Some(earlier)) {
            errors.forbidden(path, "only cpu and memory resources are mutable");
        }
    }
    let place = path.child("initContainers");
    let all = list_mut(munged, "initContainers").iter_mut().zip(list(was, "initContainers"));
    for (index, (container, earlier)) in all.enumerate() {
        let given = &list(now, "initContainers")[index];
        let changed = !same(Some(given), Some(earlier));
        restore_container(container, earlier, &nothing);
        let place = place.index(index);
        if !same(Some(container), Some(earlier)) {
            let detail = "only cpu and memory resources for init or sidecar containers are mutable";
            errors.forbidden(&place, detail);
        }
        if changed && !restarts_always(given) {
            for policy in list(given, "resizePolicy") {
                if text(policy, "restartPolicy") == "RestartContainer" {
                    let detail = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
                    errors.forbidden(&place, detail);
                }
            }
        }
    }
}

fn restore_container(container: &mut Value, earlier: &Value, nothing: &Value) {
    let was = get(earlier, "resources").unwrap_or(nothing);
    let had = earlier.get("resources").is_some();
    restore(ensure(container, "resources"), was);
    // Upstream's comparison knows no claims, so that containers which have some can't be resized.
    remove(ensure(container, "resources"), "claims");
    if !had && get(container, "resources").is_some_and(|rest| same(Some(rest), None)) {
        remove(container, "resources");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::pod::{create, defaults};
    use serde_json::json;

    fn pod(resources: Value) -> Value {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"serviceAccountName": "default",
            "containers": [{"name": "c", "image": "img", "resources": resources}]}});
        defaults::pod(&mut pod);
        create::prepare(&mut pod, "now");
        pod
    }

    fn faults(old: &Value, new: &Value) -> Vec<String> {
        let mut new = new.clone();
        new["status"] = old["status"].clone();
        let mut errors = FieldErrors::new();
        validate(&mut errors, &new, old);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn cpu_and_memory_may_change() {
        let old = pod(json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "200m"}}));
        let new = pod(json!({"requests": {"cpu": "150m"}, "limits": {"cpu": "300m"}}));
        assert_eq!(faults(&old, &new), [""; 0]);
    }

    #[test]
    fn nothing_else_may() {
        let old = pod(json!({"requests": {"cpu": "100m", "memory": "1Mi"}, "limits": {"cpu": "200m"}}));
        for (resources, expected) in [
            (
                json!({"requests": {"cpu": "200m", "memory": "1Mi"}}),
                "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
            ),
            (
                json!({"requests": {"cpu": "100m", "memory": "1Mi", "ephemeral-storage": "1"}, "limits": {"cpu": "200m"}}),
                "spec: Forbidden: only cpu and memory resources are mutable",
            ),
            (
                json!({"requests": {"cpu": "1", "memory": "1Mi"}, "limits": {"cpu": "1", "memory": "1Mi"}}),
                "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing",
            ),
        ] {
            assert_eq!(faults(&old, &pod(resources)), [expected]);
        }
    }
}
