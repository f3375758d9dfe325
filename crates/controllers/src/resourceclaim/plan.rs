//! Decides which claims a pod still needs, and who no longer uses a claim.

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_client::claims::{self, FINALIZER, PodClaim, RESERVED_MAX};
use k8s_openapi::api::core::v1::{Pod, PodResourceClaim};
use k8s_openapi::api::resource::v1::{ResourceClaim, ResourceClaimConsumerReference, ResourceClaimTemplate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::common::owner::{annotation, controller_of, controller_reference, name, namespace};
use crate::common::pods::{is_deleted, is_terminal, node};

/// Which of the pod's entries a claim was made for.
const ENTRY: &str = "resource.kubernetes.io/pod-claim-name";
/// Most bytes of a generated name before its end, so that all of it fits into a label.
const BASE_BYTES_MAX: usize = 57;

/// What an entry of a pod needs.
#[derive(Debug, PartialEq)]
pub(super) enum Need {
    /// Nothing.
    Nothing,
    /// The pod's status doesn't name the claim that was made for it.
    Record(String),
    /// A claim.
    Claim(Box<ResourceClaim>),
    /// Something that isn't there, in words for an event.
    Missing(String),
}

/// What an entry of a pod needs. `made` is the claim that the status names, `owned` are the claims that the pod owns.
pub(super) fn need(
    pod: &Pod,
    entry: &PodResourceClaim,
    made: Option<&ResourceClaim>,
    owned: &[Arc<ResourceClaim>],
    template: impl FnOnce(&str) -> Option<Arc<ResourceClaimTemplate>>,
) -> Need {
    let Some(template_name) = &entry.resource_claim_template_name else { return Need::Nothing };
    match PodClaim::of(pod, entry) {
        PodClaim::Named(_) | PodClaim::Unneeded => return Need::Nothing,
        PodClaim::Made(_) if made.is_some_and(|claim| claims::is_for(claim, pod)) => return Need::Nothing,
        PodClaim::Made(_) | PodClaim::Unmade => {}
    }
    // Made before, and not recorded.
    let left = owned.iter().find(|claim| annotation(&claim.metadata, ENTRY) == Some(&entry.name));
    if let Some(left) = left {
        return Need::Record(name(&**left).to_owned());
    }
    match template(template_name) {
        Some(template) => Need::Claim(Box::new(claim(pod, &entry.name, &template))),
        None => Need::Missing(format!(
            "resource claim template {template_name:?}: resourceclaimtemplate.resource.k8s.io {template_name:?} not found"
        )),
    }
}

fn claim(pod: &Pod, entry: &str, template: &ResourceClaimTemplate) -> ResourceClaim {
    let given = template.spec.metadata.clone().unwrap_or_default();
    let mut annotations: BTreeMap<String, String> = given.annotations.unwrap_or_default();
    annotations.insert(ENTRY.to_owned(), entry.to_owned());
    ResourceClaim {
        metadata: ObjectMeta {
            namespace: Some(namespace(pod).to_owned()),
            generate_name: Some(base(name(pod), entry)),
            owner_references: Some(vec![controller_reference(pod)]),
            annotations: Some(annotations),
            labels: given.labels,
            ..ObjectMeta::default()
        },
        spec: template.spec.spec.clone(),
        status: None,
    }
}

/// The start of a claim's name. Where it is too long, both parts lose in proportion, and the last dash goes.
fn base(pod: &str, entry: &str) -> String {
    let whole = format!("{pod}-{entry}-");
    if whole.len() <= BASE_BYTES_MAX {
        return whole;
    }
    let part = |text: &str| {
        let mut end = text.len() * BASE_BYTES_MAX / whole.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].to_owned()
    };
    format!("{}-{}", part(pod), part(entry))
}

/// Claims of a pod that runs on a node without the scheduler's doing, and that it isn't entered in.
pub(super) fn unreserved<'c>(
    pod: &Pod,
    claims_of_pod: impl IntoIterator<Item = &'c Arc<ResourceClaim>>,
) -> Vec<Arc<ResourceClaim>> {
    if node(pod).is_empty() || is_done(pod) {
        return Vec::new();
    }
    let room = |claim: &ResourceClaim| users(claim).len() < RESERVED_MAX;
    claims_of_pod
        .into_iter()
        .filter(|claim| claims::is_allocated(claim) && !claims::is_reserved(claim, pod) && room(claim))
        .cloned()
        .collect()
}

/// Whether no container of the pod runs, or ever will.
pub(super) fn is_done(pod: &Pod) -> bool {
    is_terminal(pod) || (is_deleted(pod) && node(pod).is_empty())
}

/// The entry of a pod in `reservedFor`.
pub(super) fn reference(pod: &Pod) -> ResourceClaimConsumerReference {
    ResourceClaimConsumerReference {
        api_group: None,
        resource: "pods".to_owned(),
        name: name(pod).to_owned(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
    }
}

/// `status.reservedFor`.
pub(super) fn users(claim: &ResourceClaim) -> &[ResourceClaimConsumerReference] {
    claim.status.as_ref().and_then(|status| status.reserved_for.as_deref()).unwrap_or_default()
}

/// Whether a user still uses the claim, as far as the cache knows; none where the API has to be asked.
pub(super) fn still_uses(user: &ResourceClaimConsumerReference, pod: Option<&Pod>) -> Option<bool> {
    let pod = pod?;
    Some(pod.metadata.uid.as_deref() == Some(&user.uid) && !is_done(pod))
}

/// What is to be done about a claim, in this order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Release {
    /// `reservedFor` becomes this.
    pub(super) users: Option<Vec<ResourceClaimConsumerReference>>,
    /// The devices are given back.
    pub(super) deallocate: bool,
    /// The finalizer goes.
    pub(super) unprotect: bool,
    /// The claim was made for a pod that doesn't need it any more.
    pub(super) delete: bool,
}

/// Plans for a claim whose users are `valid` now. `owner` is the pod of the name of that which the claim was made for.
pub(super) fn release(
    claim: &ResourceClaim,
    valid: Vec<ResourceClaimConsumerReference>,
    owner: Option<&Pod>,
) -> Release {
    let mut release = Release::default();
    let protected = claim.metadata.finalizers.iter().flatten().any(|one| one == FINALIZER);
    let unused = valid.is_empty();
    let deleted = claim.metadata.deletion_timestamp.is_some();
    let allocated = claims::is_allocated(claim);
    let left = valid.len() < users(claim).len();
    if left {
        release.users = Some(valid);
    }
    // A claim that was never used stays allocated: whoever allocated it may reserve it later.
    if protected && unused && (left || deleted) {
        release.deallocate = allocated;
        release.unprotect = true;
    }
    let made_for =
        controller_of(&claim.metadata).filter(|owner| owner.kind == "Pod" && owner.api_version == "v1");
    if let (true, false, Some(made_for), Some(owner)) = (unused, deleted, made_for, owner) {
        release.delete = owner.metadata.uid.as_deref() != Some(&made_for.uid) || is_done(owner);
    }
    release
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{at, object, pod};
    use serde_json::{Value, json};

    fn with_entry(pod_name: &str, statuses: Value) -> Pod {
        pod(pod_name)
            .with(|pod| {
                pod.spec = Some(
                    serde_json::from_value(json!({"containers": [], "resourceClaims": [
                        {"name": "gpu", "resourceClaimTemplateName": "t"}]}))
                    .unwrap(),
                );
                pod.status =
                    Some(serde_json::from_value(json!({"resourceClaimStatuses": statuses})).unwrap());
            })
            .build()
    }

    fn claim_of(owner: &Pod, more: Value) -> ResourceClaim {
        let mut value = json!({"metadata": {"namespace": "ns", "name": "c",
            "annotations": {ENTRY: "gpu"}, "ownerReferences": [controller_reference(owner)]}, "spec": {}});
        for (key, more) in more.as_object().unwrap() {
            if key == "metadata" {
                value[key].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            } else {
                value[key] = more.clone();
            }
        }
        object(value)
    }

    fn template() -> Option<Arc<ResourceClaimTemplate>> {
        Some(Arc::new(object(json!({"metadata": {"name": "t"}, "spec": {
            "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}}}}))))
    }

    #[test]
    fn a_pod_gets_the_claims_it_has_not() {
        let fresh = with_entry("p", json!(null));
        let entry = fresh.spec.as_ref().unwrap().resource_claims.as_ref().unwrap()[0].clone();
        let own = Arc::new(claim_of(&fresh, json!({})));
        let Need::Claim(made) = need(&fresh, &entry, None, &[], |_| template()) else { panic!("no claim") };
        let made = serde_json::to_value(*made).unwrap();
        assert_eq!(
            made["metadata"],
            json!({"namespace": "ns", "generateName": "p-gpu-", "labels": {"a": "b"},
                "annotations": {"c": "d", ENTRY: "gpu"}, "ownerReferences": [{"apiVersion": "v1", "kind": "Pod",
                    "name": "p", "uid": "uid-p", "controller": true, "blockOwnerDeletion": true}]})
        );
        assert_eq!(made["spec"]["devices"]["requests"][0]["name"], "r");
        let missing = "resource claim template \"t\": resourceclaimtemplate.resource.k8s.io \"t\" not found";
        assert_eq!(need(&fresh, &entry, None, &[], |_| None), Need::Missing(missing.into()));
        // Made before, and the status wasn't written.
        assert_eq!(
            need(&fresh, &entry, None, std::slice::from_ref(&own), |_| template()),
            Need::Record("c".into())
        );
        let recorded = with_entry("p", json!([{"name": "gpu", "resourceClaimName": "c"}]));
        assert_eq!(need(&recorded, &entry, Some(&own), &[], |_| template()), Need::Nothing);
        // Gone, or another pod's by now.
        let other = claim_of(&pod("q").build(), json!({}));
        for claim in [None, Some(&other)] {
            assert!(matches!(need(&recorded, &entry, claim, &[], |_| template()), Need::Claim(_)));
        }
        let unneeded = with_entry("p", json!([{"name": "gpu"}]));
        assert_eq!(need(&unneeded, &entry, None, &[], |_| template()), Need::Nothing);
    }

    #[test]
    fn long_names_lose_on_both_sides() {
        assert_eq!(base("p", "gpu"), "p-gpu-");
        let made = base(&"p".repeat(60), &"e".repeat(40));
        assert_eq!(made, format!("{}-{}", "p".repeat(33), "e".repeat(22)));
    }

    #[test]
    fn devices_go_back_with_the_last_user() {
        let owner = pod("p").node("n").build();
        let user = |name: &str| reference(&pod(name).build());
        let status = |users: Value| json!({"allocation": {"devices": {}}, "reservedFor": users});
        let used = |users: Value| {
            claim_of(&owner, json!({"metadata": {"finalizers": [FINALIZER]}, "status": status(users)}))
        };
        let two = used(json!([user("p"), user("q")]));
        assert_eq!(release(&two, vec![user("p"), user("q")], Some(&owner)), Release::default());
        assert_eq!(
            release(&two, vec![user("q")], Some(&owner)),
            Release { users: Some(vec![user("q")]), ..Release::default() }
        );
        assert_eq!(
            release(&two, vec![], Some(&owner)),
            Release { users: Some(vec![]), deallocate: true, unprotect: true, delete: false }
        );
        // Whoever allocated it may reserve it later.
        assert_eq!(release(&used(json!([])), vec![], Some(&owner)), Release::default());
        let mut deleted = used(json!([]));
        deleted.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1)));
        assert_eq!(
            release(&deleted, vec![], Some(&owner)),
            Release { deallocate: true, unprotect: true, ..Release::default() }
        );
        // Not protected: somebody else gave the devices.
        let foreign = claim_of(&owner, json!({"status": status(json!([user("p")]))}));
        assert_eq!(
            release(&foreign, vec![], Some(&owner)),
            Release { users: Some(vec![]), ..Release::default() }
        );
    }

    #[test]
    fn a_claim_goes_with_the_pod_it_was_made_for() {
        let owner = pod("p").node("n").build();
        let claim = claim_of(&owner, json!({}));
        let shared: ResourceClaim = object(json!({"metadata": {"name": "s"}, "spec": {}}));
        for (claim, pod, expected) in [
            (&claim, Some(owner.clone()), false),
            (&claim, None, false),
            (&claim, Some(pod("p").phase("Succeeded").node("n").build()), true),
            (&claim, Some(pod("p").deleted(at(1)).build()), true),
            (&claim, Some(pod("p").with(|pod| pod.metadata.uid = Some("other".into())).build()), true),
            (&shared, Some(pod("p").phase("Failed").build()), false),
        ] {
            assert_eq!(release(claim, vec![], pod.as_ref()).delete, expected, "{pod:?}");
        }
        let used = release(&claim, vec![reference(&owner)], Some(&pod("p").phase("Failed").build()));
        assert!(!used.delete);
    }

    #[test]
    fn users_are_pods_that_run_or_will() {
        let user = reference(&pod("p").build());
        for (pod, expected) in [
            (None, None),
            (Some(pod("p").build()), Some(true)),
            (Some(pod("p").node("n").deleted(at(1)).build()), Some(true)),
            (Some(pod("p").deleted(at(1)).build()), Some(false)),
            (Some(pod("p").phase("Failed").build()), Some(false)),
            (Some(pod("p").with(|pod| pod.metadata.uid = Some("other".into())).build()), Some(false)),
        ] {
            assert_eq!(still_uses(&user, pod.as_ref()), expected);
        }
    }

    #[test]
    fn pods_that_came_to_a_node_by_themselves_are_entered() {
        let status = |users: Value| json!({"status": {"allocation": {"devices": {}}, "reservedFor": users}});
        let bound = pod("p").node("n").build();
        let free = Arc::new(claim_of(&bound, status(json!([]))));
        let mine = Arc::new(claim_of(&bound, status(json!([reference(&bound)]))));
        let unallocated = Arc::new(claim_of(&bound, json!({})));
        let all = [free.clone(), mine, unallocated];
        assert_eq!(unreserved(&bound, &all), [free]);
        assert!(unreserved(&pod("p").build(), &all).is_empty());
        assert!(unreserved(&pod("p").node("n").phase("Failed").build(), &all).is_empty());
    }
}
