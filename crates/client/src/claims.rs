//! Which ResourceClaims a pod has, and which pods a claim is reserved for.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/>

use k8s_openapi::api::core::v1::{Pod, PodResourceClaim};
use k8s_openapi::api::resource::v1::ResourceClaim;

/// Stands on a claim as long as devices are given to it.
pub const FINALIZER: &str = "resource.kubernetes.io/delete-protection";
/// Most pods that share a claim.
pub const RESERVED_MAX: usize = 256;

/// The claim behind an entry of `spec.resourceClaims`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodClaim<'a> {
    /// One that the pod names.
    Named(&'a str),
    /// One that was made for the pod out of a template.
    Made(&'a str),
    /// It is still to be made out of a template.
    Unmade,
    /// The status says that there is none and none is needed.
    Unneeded,
}

impl<'a> PodClaim<'a> {
    /// The claim behind an entry of a pod.
    pub fn of(pod: &'a Pod, entry: &'a PodResourceClaim) -> PodClaim<'a> {
        if let Some(name) = &entry.resource_claim_name {
            return PodClaim::Named(name);
        }
        let statuses = pod.status.as_ref().and_then(|status| status.resource_claim_statuses.as_deref());
        let status = statuses.unwrap_or_default().iter().find(|status| status.name == entry.name);
        match status.map(|status| status.resource_claim_name.as_deref()) {
            Some(Some(name)) => PodClaim::Made(name),
            Some(None) => PodClaim::Unneeded,
            None => PodClaim::Unmade,
        }
    }

    /// The claim's name, where there is a claim.
    pub fn name(self) -> Option<&'a str> {
        match self {
            PodClaim::Named(name) | PodClaim::Made(name) => Some(name),
            PodClaim::Unmade | PodClaim::Unneeded => None,
        }
    }
}

/// The entries of a pod, each with its claim.
pub fn of_pod(pod: &Pod) -> impl Iterator<Item = (&PodResourceClaim, PodClaim<'_>)> {
    let entries = pod.spec.as_ref().and_then(|spec| spec.resource_claims.as_deref()).unwrap_or_default();
    entries.iter().map(|entry| (entry, PodClaim::of(pod, entry)))
}

/// Whether the claim was made for the pod.
pub fn is_for(claim: &ResourceClaim, pod: &Pod) -> bool {
    let owners = claim.metadata.owner_references.iter().flatten();
    owners
        .filter(|owner| owner.controller == Some(true))
        .any(|owner| Some(&owner.uid) == pod.metadata.uid.as_ref())
}

/// Whether the pod may use the claim's devices.
pub fn is_reserved(claim: &ResourceClaim, pod: &Pod) -> bool {
    let users = claim.status.as_ref().and_then(|status| status.reserved_for.as_deref()).unwrap_or_default();
    users.iter().any(|user| Some(&user.uid) == pod.metadata.uid.as_ref())
}

/// Whether devices are given to the claim.
pub fn is_allocated(claim: &ResourceClaim) -> bool {
    claim.status.as_ref().is_some_and(|status| status.allocation.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_are_named_or_made() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": {"containers": [],
            "resourceClaims": [{"name": "a", "resourceClaimName": "shared"},
                {"name": "b", "resourceClaimTemplateName": "t"}, {"name": "c", "resourceClaimTemplateName": "t"},
                {"name": "d", "resourceClaimTemplateName": "t"}]},
            "status": {"resourceClaimStatuses": [{"name": "b", "resourceClaimName": "p-b-x"}, {"name": "c"}]}}))
        .unwrap();
        let claims: Vec<PodClaim<'_>> = of_pod(&pod).map(|(_, claim)| claim).collect();
        assert_eq!(
            claims,
            [PodClaim::Named("shared"), PodClaim::Made("p-b-x"), PodClaim::Unneeded, PodClaim::Unmade]
        );
        let claim: ResourceClaim = serde_json::from_value(json!({"metadata": {"ownerReferences": [
            {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true}]},
            "spec": {}, "status": {"reservedFor": [{"resource": "pods", "name": "q", "uid": "v"}]}}))
        .unwrap();
        assert!(is_for(&claim, &pod) && !is_reserved(&claim, &pod) && !is_allocated(&claim));
    }
}
