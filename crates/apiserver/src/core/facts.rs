//! Facts of single resources that discovery doesn't show and that their rules don't say: as data, so that the
//! generic machinery names no kind.

use cox_api::KindInfo;

/// Resources whose deletion answers with the object and not with a Status.
const RETURN_DELETED: &[(&str, &str)] = &[
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("", "pods"),
    ("", "podtemplates"),
    ("", "resourcequotas"),
    ("", "namespaces"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("resource.k8s.io", "deviceclasses"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("resource.k8s.io", "resourceslices"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
];

/// Whether a deletion answers with the object.
pub fn returns_deleted(info: &KindInfo) -> bool {
    RETURN_DELETED.contains(&(info.group, info.plural))
}

/// Whether a PUT of the status makes an object that isn't there, as only services do.
pub fn status_makes(info: &KindInfo) -> bool {
    (info.group, info.plural) == ("", "services")
}

/// A warning for every use of a resource (deprecated versions).
pub fn warning_of_use(group: &str, version: &str, plural: &str) -> Option<&'static str> {
    match (group, version, plural) {
        ("", "v1", "endpoints") => {
            Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
        }
        ("", "v1", "componentstatuses") => Some("v1 ComponentStatus is deprecated in v1.19+"),
        _ => None,
    }
}

/// A warning on deletion where the client names no propagation policy.
pub fn warning_of_delete(group: &str, plural: &str) -> Option<&'static str> {
    match (group, plural) {
        ("batch", "jobs") => Some(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
        ),
        _ => None,
    }
}

/// Whether an object that is finalized by its own subresource still waits for that (`spec.finalizers`).
pub fn finalization_pending(object: &serde_json::Value) -> bool {
    object["spec"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}
