//! Writes what a pod's claims were given, before the pod is bound.

use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::claims::{self, FINALIZER};
use cox_client::{Client, Error, Reader, Result};
use k8s_openapi::api::resource::v1::{AllocationResult, ResourceClaim, ResourceClaimConsumerReference};
use serde_json::{Value, json};

use super::demand::shown;
use crate::pod::PodInfo;

/// How often a write is tried on a newer version of the claim.
const TRIES_MAX: u32 = 5;

/// A claim of a pod, and what it is given if it wasn't given anything before.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) claim: Arc<ResourceClaim>,
    pub(crate) allocation: Option<AllocationResult>,
}

/// Writes the allocation, and that the pod uses the claim. Returns when the cache shows it.
///
/// # Errors
/// Where the claim is gone, was given something else, or can't be written.
pub(crate) async fn grant(
    client: &Client,
    known: &Reader<ResourceClaim>,
    pod: &PodInfo,
    grant: &Grant,
) -> Result<()> {
    let mut claim = grant.claim.clone();
    if claims::is_reserved(&claim, &pod.pod) {
        return Ok(());
    }
    let mut tries = 0;
    loop {
        tries += 1;
        match try_grant(client, pod, &claim, grant.allocation.as_ref()).await {
            Ok(written) => {
                known.wait_until_seen_object(&written).await;
                return Ok(());
            }
            Err(error) if error.is_conflict() && tries < TRIES_MAX => {
                let metadata = &claim.metadata;
                let text = |part: &Option<String>| part.clone().unwrap_or_default();
                claim = client.get(&text(&metadata.namespace), &text(&metadata.name)).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn try_grant(
    client: &Client,
    pod: &PodInfo,
    claim: &Arc<ResourceClaim>,
    allocation: Option<&AllocationResult>,
) -> Result<Arc<ResourceClaim>> {
    let failed = |why: &str| Err(Error::Other(format!("claim {} {why}", shown(claim))));
    if claim.metadata.deletion_timestamp.is_some() {
        return failed("got deleted in the meantime");
    }
    let mut claim = claim.clone();
    let mut status = json!({});
    if let Some(allocation) = allocation {
        if claims::is_allocated(&claim) {
            return failed("got allocated elsewhere in the meantime");
        }
        let mut finalizers = claim.metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.iter().any(|one| one == FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
            claim = patch(client, &claim, "", json!({"metadata": {"finalizers": finalizers}})).await?;
        }
        status["allocation"] = json!(allocation);
    }
    let mut users = claim.status.as_ref().and_then(|status| status.reserved_for.clone()).unwrap_or_default();
    users.push(ResourceClaimConsumerReference {
        api_group: None,
        resource: "pods".to_owned(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
    });
    status["reservedFor"] = json!(users);
    patch(client, &claim, "status", json!({"status": status})).await
}

/// Takes a pod out of a claim that it didn't come to use, if it is in there.
pub(crate) async fn withdraw(
    client: &Client,
    known: &Reader<ResourceClaim>,
    pod: &PodInfo,
    claim: &ResourceClaim,
) {
    let uid = claim.metadata.uid.as_deref().unwrap_or_default();
    if !known.by_uid(uid).is_some_and(|claim| claims::is_reserved(&claim, &pod.pod)) {
        return;
    }
    let patch = json!({"metadata": {"uid": claim.metadata.uid},
        "status": {"reservedFor": [{"$patch": "delete", "uid": pod.uid}]}});
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let (namespace, name) = (text(&claim.metadata.namespace), text(&claim.metadata.name));
    let withdrawn =
        client.patch_status::<ResourceClaim>(&namespace, &name, PatchKind::Strategic, patch).await;
    if let Err(error) = withdrawn
        && !error.is_not_found()
    {
        tracing::warn!(claim = %shown(claim), %error, "taking a pod out of a claim");
    }
}

/// Gives back what a claim was given.
pub(crate) async fn deallocate(client: &Client, claim: &ResourceClaim) {
    let status = json!({"status": {"allocation": null, "reservedFor": null}});
    match patch(client, claim, "status", status).await {
        Ok(_) => {}
        // Somebody uses it after all, or it is gone.
        Err(error) if error.is_conflict() || error.is_not_found() => {}
        Err(error) => tracing::warn!(claim = %shown(claim), %error, "deallocation"),
    }
}

/// Writes a claim that is still as it was seen.
async fn patch(
    client: &Client,
    claim: &ResourceClaim,
    part: &str,
    mut patch: Value,
) -> Result<Arc<ResourceClaim>> {
    let metadata = &claim.metadata;
    patch["metadata"]["uid"] = metadata.uid.clone().into();
    patch["metadata"]["resourceVersion"] = metadata.resource_version.clone().into();
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let (namespace, name) = (text(&metadata.namespace), text(&metadata.name));
    client.patch_with(&namespace, &name, part, PatchKind::Merge, patch, &Default::default()).await
}
