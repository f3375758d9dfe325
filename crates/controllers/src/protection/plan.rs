//! Who uses what.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};

use crate::common::owner::{is_controlled_by, name};

/// The names of the claims that a pod's volumes are made of.
pub(super) fn claims_of(pod: &Pod) -> Vec<String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes
        .filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => Some(claim.claim_name.clone()),
            (None, Some(_)) => Some(ephemeral(pod, &volume.name)),
            (None, None) => None,
        })
        .collect()
}

/// The name of the claim that is made for an ephemeral volume.
fn ephemeral(pod: &Pod, volume: &str) -> String {
    format!("{}-{volume}", name(pod))
}

/// Whether a pod uses a claim. One that isn't bound to a node doesn't: no node starts pods with claims that go.
pub(super) fn uses_claim(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    let Some(spec) =
        pod.spec.as_ref().filter(|spec| spec.node_name.as_deref().is_some_and(|node| !node.is_empty()))
    else {
        return false;
    };
    let wanted = name(claim);
    spec.volumes.iter().flatten().any(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => source.claim_name == wanted,
        // A claim that only has this name is somebody else's.
        (None, Some(_)) => ephemeral(pod, &volume.name) == wanted && is_controlled_by(&claim.metadata, pod),
        (None, None) => false,
    })
}

/// Whether a volume is a claim's.
pub(super) fn is_bound(volume: &PersistentVolume) -> bool {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
}

/// The class that a volume has.
pub(super) fn class_of_volume(volume: &PersistentVolume) -> Option<&str> {
    volume.spec.as_ref()?.volume_attributes_class_name.as_deref()
}

/// The classes that a claim wants, has, or is on its way to.
pub(super) fn classes_of_claim(claim: &PersistentVolumeClaim) -> Vec<&str> {
    let status = claim.status.as_ref();
    let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_deref());
    let current = status.and_then(|status| status.current_volume_attributes_class_name.as_deref());
    let target = status.and_then(|status| status.modify_volume_status.as_ref());
    let target = target.and_then(|target| target.target_volume_attributes_class_name.as_deref());
    [wanted, current, target].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::common::testing::object;

    #[test]
    fn pods_use_claims_by_name_and_by_ownership() {
        let claim = |name: &str, owner: Option<&str>| -> PersistentVolumeClaim {
            let owners = owner.map(|uid| json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": true}]));
            object(
                json!({"metadata": {"name": name, "namespace": "ns", "ownerReferences": owners.unwrap_or(json!([]))}}),
            )
        };
        let pod = |node: &str| -> Pod {
            object(
                json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"nodeName": node, "containers": [], "volumes": [
                {"name": "a", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "b", "ephemeral": {}}, {"name": "c", "emptyDir": {}}]}}),
            )
        };
        assert_eq!(claims_of(&pod("n")), ["data", "p-b"]);
        let cases = [
            ("n", claim("data", None), true),
            ("n", claim("other", None), false),
            ("n", claim("p-b", Some("u")), true),
            ("n", claim("p-b", Some("another")), false),
            ("n", claim("p-b", None), false),
            ("", claim("data", None), false),
        ];
        for (node, claim, expected) in cases {
            assert_eq!(uses_claim(&pod(node), &claim), expected, "{node} {claim:?}");
        }
    }
}
