//! Policies in CEL are told what is wrong with their expressions where objects are of the types that their rules name.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking>

mod plan;

use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::{Key, Next, Queue, Reader, Result, WriteOptions};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use serde_json::json;

use crate::common::Context;

/// Upstream's name, under which the status is applied.
const MANAGER: &str = "validatingadmissionpolicy-status-controller";

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let policies = context.informers.of::<ValidatingAdmissionPolicy>();
    let queue = Queue::<Key>::new(context.env.clone(), "validatingadmissionpolicy-status");
    let changed = queue.clone();
    policies.on_change(move |change| changed.add(Key::of(&**change.latest())));
    policies.synced().await;
    let shell = Arc::new((context, policies));
    queue
        .run(1, move |key| {
            let shell = shell.clone();
            async move { look(&shell.0, &shell.1, &key).await }
        })
        .await;
}

async fn look(context: &Context, policies: &Reader<ValidatingAdmissionPolicy>, key: &Key) -> Result<Next> {
    let Some(policy) = policies.at(key) else { return Ok(Next::Done) };
    let Some(status) = plan::status(&policy) else { return Ok(Next::Done) };
    let object = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": key.name}, "status": status});
    let options = WriteOptions::apply_as(MANAGER);
    let written = context
        .client
        .patch_with::<ValidatingAdmissionPolicy>("", &key.name, "status", PatchKind::Apply, object, &options)
        .await;
    match written {
        Ok(written) => policies.wait_until_seen_object(&written).await,
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    Ok(Next::Done)
}
