//! What writes of a pod's subresources keep from the old pod.

use serde_json::Value;

use crate::kinds::common::walk::{ensure, get, int, keep, list, list_mut, set, text};

/// What of the metadata a write of a subresource can't change.
const METADATA: [&str; 7] = [
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
];

fn keep_metadata(new: &mut Value, old: &Value) {
    let metadata = ensure(new, "metadata");
    for key in METADATA {
        keep(metadata, &old["metadata"], key);
    }
}

/// `ephemeralcontainers`: nothing but these.
pub fn ephemeral_containers(new: &mut Value, old: &Value) {
    let given = get(&new["spec"], "ephemeralContainers").cloned();
    keep(new, old, "spec");
    keep(new, old, "status");
    keep_metadata(new, old);
    let spec = ensure(new, "spec");
    match given {
        Some(given) => set(spec, "ephemeralContainers", given),
        None => {
            crate::kinds::common::walk::remove(spec, "ephemeralContainers");
        }
    }
}

/// `resize`: nothing but resources. Containers that come, go or change places are for the checks to refuse.
pub fn resize(new: &mut Value, old: &Value) {
    let lists = ["containers", "initContainers"];
    if lists.iter().any(|key| list(&new["spec"], key).len() != list(&old["spec"], key).len()) {
        return;
    }
    let given = new["spec"].clone();
    keep(new, old, "spec");
    keep(new, old, "status");
    keep_metadata(new, old);
    let spec = ensure(new, "spec");
    keep(spec, &given, "resources");
    for key in lists {
        let wanted = list(&given, key);
        let same_names =
            wanted.iter().zip(list(&old["spec"], key)).all(|(a, b)| text(a, "name") == text(b, "name"));
        if !same_names {
            keep(spec, &given, key);
            continue;
        }
        for (container, wanted) in list_mut(spec, key).iter_mut().zip(wanted) {
            for key in ["resources", "resizePolicy"] {
                keep(container, wanted, key);
            }
        }
    }
}

/// `status`: owners stay, and what old kubelets don't know of the status as well.
pub fn status(new: &mut Value, old: &Value) {
    keep(ensure(new, "metadata"), &old["metadata"], "ownerReferences");
    let before = &old["status"];
    let status = ensure(new, "status");
    if text(status, "qosClass").is_empty() {
        keep(status, before, "qosClass");
    }
    if int(status, "observedGeneration") == 0 {
        keep(status, before, "observedGeneration");
    }
    let known = list(before, "conditions");
    let mut used = vec![false; known.len()];
    for condition in list_mut(status, "conditions") {
        let found =
            known.iter().enumerate().find(|(at, each)| !used[*at] && each["type"] == condition["type"]);
        let Some((at, earlier)) = found else { continue };
        used[at] = true;
        if int(condition, "observedGeneration") == 0 && int(earlier, "observedGeneration") != 0 {
            keep(condition, earlier, "observedGeneration");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resize_changes_resources_alone() {
        let old = json!({"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Running"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]}});
        let mut new = json!({"metadata": {"labels": {"x": "y"}},
            "spec": {"containers": [{"name": "c", "image": "other", "resources": {"requests": {"cpu": "2"}}}]}});
        resize(&mut new, &old);
        let mut expected = old.clone();
        expected["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "2".into();
        assert_eq!(new, expected);
    }

    #[test]
    fn ephemeral_containers_come_alone() {
        let old = json!({"metadata": {}, "spec": {"containers": [{"name": "c"}]}});
        let mut new = json!({"metadata": {"labels": {"x": "y"}}, "spec": {"containers": [],
            "ephemeralContainers": [{"name": "e"}]}});
        ephemeral_containers(&mut new, &old);
        assert_eq!(
            new,
            json!({"metadata": {}, "spec": {"containers": [{"name": "c"}], "ephemeralContainers": [{"name": "e"}]}})
        );
    }

    #[test]
    fn a_status_keeps_what_old_kubelets_forget() {
        let old = json!({"metadata": {"ownerReferences": [1]}, "status": {"qosClass": "Burstable",
            "observedGeneration": 3, "conditions": [{"type": "Ready", "observedGeneration": 3}]}});
        let mut new =
            json!({"metadata": {}, "status": {"phase": "Running", "conditions": [{"type": "Ready"}]}});
        status(&mut new, &old);
        assert_eq!(
            new,
            json!({"metadata": {"ownerReferences": [1]}, "status": {"phase": "Running", "qosClass": "Burstable",
                "observedGeneration": 3, "conditions": [{"type": "Ready", "observedGeneration": 3}]}})
        );
    }
}
