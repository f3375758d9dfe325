//! A claim grows only where its class says that its volumes can.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#persistentvolumeclaimresize>

use cox_api::Status;
use cox_api::quantity::Quantity;
use cox_store::Key;
use serde_json::Value;

use super::{Attempt, Operation, Plugin, text};

pub(super) struct PersistentVolumeClaimResize;

fn size(claim: &Value) -> Option<Quantity> {
    text(&claim["spec"]["resources"]["requests"]["storage"]).parse().ok()
}

fn may_grow(attempt: &Attempt<'_>, claim: &Value) -> bool {
    const ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
    let class = match text(&claim["metadata"]["annotations"][ANNOTATION]) {
        "" => text(&claim["spec"]["storageClassName"]),
        class => class,
    };
    let found = attempt.server.db().get_key(&Key::new("storageclasses", "", class));
    found.is_some_and(|class| class.parsed()["allowVolumeExpansion"] == true)
}

impl Plugin for PersistentVolumeClaimResize {
    fn validate(
        &self,
        attempt: &Attempt<'_>,
        claim: Option<&Value>,
        _: &mut Vec<String>,
    ) -> Result<(), Status> {
        let (Some(claim), Some(old)) = (claim, attempt.old) else { return Ok(()) };
        if attempt.operation != Operation::Update || !attempt.is("", "persistentvolumeclaims", "") {
            return Ok(());
        }
        let (Some(new_size), Some(old_size)) = (size(claim), size(old)) else { return Ok(()) };
        if new_size <= old_size {
            return Ok(());
        }
        if old["status"]["phase"] != "Bound" {
            return Err(attempt.forbidden("Only bound persistent volume claims can be expanded"));
        }
        if !may_grow(attempt, old) {
            return Err(attempt.forbidden(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
            ));
        }
        Ok(())
    }
}
