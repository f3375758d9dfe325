//! Claims, volumes and classes of volume attributes get a finalizer, so that they stay while they are in use.

use cox_api::Status;
use serde_json::Value;

use super::{Attempt, Plugin, each, list_mut};

pub(super) struct StorageObjectInUseProtection;

impl Plugin for StorageObjectInUseProtection {
    fn admit(&self, attempt: &Attempt<'_>, object: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        let finalizer = if attempt.creates("", "persistentvolumeclaims") {
            "kubernetes.io/pvc-protection"
        } else if attempt.creates("", "persistentvolumes") {
            "kubernetes.io/pv-protection"
        } else if attempt.creates("storage.k8s.io", "volumeattributesclasses") {
            "kubernetes.io/vac-protection"
        } else {
            return Ok(());
        };
        let known = each(&object["metadata"]["finalizers"]).any(|one| one == finalizer);
        if !known && let Some(finalizers) = list_mut(&mut object["metadata"], "finalizers") {
            finalizers.push(finalizer.into());
        }
        Ok(())
    }
}
