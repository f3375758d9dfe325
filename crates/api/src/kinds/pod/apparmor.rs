//! AppArmor profiles, which were annotations before they were fields. KEP-24.

use serde_json::{Value, json};

use super::spec_defaults::CONTAINER_LISTS;
use crate::kinds::common::walk::{at, ensure, get, list_mut, map, set, text};

/// The annotation's key ends with the container's name.
pub const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The field that an annotation's value means; none where the value means nothing.
pub fn field_of(annotation: &str) -> Option<Value> {
    match annotation {
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        "unconfined" => Some(json!({"type": "Unconfined"})),
        other => other
            .strip_prefix("localhost/")
            .filter(|profile| !profile.is_empty())
            .map(|profile| json!({"type": "Localhost", "localhostProfile": profile})),
    }
}

/// Sets the field of containers that have only the annotation.
pub fn annotations_to_fields(pod: &mut Value) {
    let annotations = match get(pod, "metadata") {
        Some(metadata) if map(metadata, "annotations").keys().any(|key| key.starts_with(ANNOTATION)) => {
            map(metadata, "annotations").clone()
        }
        _ => return,
    };
    let spec = ensure(pod, "spec");
    if at(spec, &["os", "name"]).is_some_and(|name| name == "windows") {
        return;
    }
    let pod_profile = at(spec, &["securityContext", "appArmorProfile"]).cloned();
    for key in CONTAINER_LISTS {
        for container in list_mut(spec, key) {
            if at(container, &["securityContext", "appArmorProfile"]).is_some() {
                continue;
            }
            let annotation = annotations.get(&format!("{ANNOTATION}{}", text(container, "name")));
            let Some(profile) = annotation.and_then(Value::as_str).and_then(field_of) else { continue };
            if pod_profile.as_ref() != Some(&profile) {
                set(ensure(container, "securityContext"), "appArmorProfile", profile);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_becomes_a_field() {
        let mut pod = json!({"metadata": {"annotations": {format!("{ANNOTATION}c"): "localhost/p"}},
            "spec": {"containers": [{"name": "c"}, {"name": "d"}]}});
        annotations_to_fields(&mut pod);
        assert_eq!(
            pod["spec"]["containers"],
            json!([{"name": "c", "securityContext":
                {"appArmorProfile": {"type": "Localhost", "localhostProfile": "p"}}}, {"name": "d"}])
        );
    }
}
