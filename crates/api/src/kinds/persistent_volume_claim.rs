//! `PersistentVolumeClaim` of `v1`.

mod validate;

use super::common::{resource_list, storage};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column, wide};
use super::common::walk::{default_text, ensure, get, get_mut, remove, set, text, text_ptr};
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource};

/// The kind's rules.
pub struct PersistentVolumeClaim;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    short_names: &["pvc"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "PersistentVolumeClaim",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "persistentvolumeclaims",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Status", "string", "Phase of the claim."),
    column("Volume", "string", "The volume it is bound to."),
    column("Capacity", "string", "How big the volume is."),
    column("Access Modes", "string", "How the volume may be mounted."),
    column("StorageClass", "string", "Class of the volume."),
    column("VolumeAttributesClass", "string", "Class of its attributes."),
    cells::AGE,
    wide("VolumeMode", "string", "File system or block device."),
];

impl Kind for PersistentVolumeClaim {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        let status = ensure(object, "status");
        default_text(status, "phase", "Pending");
        for key in ["capacity", "allocatedResources"] {
            resource_list::round_up(get_mut(status, key));
        }
        storage::default_claim(ensure(object, "spec"));
        if let Some(resources) = get_mut(&mut object["spec"], "resources") {
            resource_list::round_up(get_mut(resources, "limits"));
            resource_list::round_up(get_mut(resources, "requests"));
        }
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        set(object, "status", json!({"phase": "Pending"}));
        let spec = ensure(object, "spec");
        // Of things that aren't claims or snapshots, the older field is dropped: it never meant them.
        if get(spec, "dataSource").is_some_and(|source| !storage::is_claim_or_snapshot(source)) {
            remove(spec, "dataSource");
        }
        storage::normalize_sources(spec);
    }

    fn prepare_update(&self, new: &mut Value, _old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Main {
            storage::normalize_sources(ensure(new, "spec"));
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let bound = !text(spec, "volumeName").is_empty();
        let capacity = text_ptr(&status["capacity"], "storage").unwrap_or("0");
        vec![
            cells::name(object),
            storage::phase(object).into(),
            text(spec, "volumeName").into(),
            if bound { capacity.into() } else { "".into() },
            if bound { storage::access_modes(status).into() } else { "".into() },
            storage::class(object).into(),
            text_ptr(spec, "volumeAttributesClassName").unwrap_or("<unset>").into(),
            cells::age(object, now),
            text_ptr(spec, "volumeMode").unwrap_or("<unset>").into(),
        ]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::spec(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Main {
            validate::spec(new, errors);
            validate::update(new, old, errors);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{changed, made, update_faults};

    fn claim() -> Value {
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
    }

    #[test]
    fn bound_claims_may_grow() {
        let grow = |new: &mut Value| new["spec"]["resources"]["requests"]["storage"] = "2Gi".into();
        let mut bound = made(&PersistentVolumeClaim, claim());
        bound["status"]["phase"] = "Bound".into();
        bound["metadata"]["resourceVersion"] = "1".into();
        let larger = changed(&PersistentVolumeClaim, &bound, Part::Main, grow);
        assert!(crate::meta::check_update(&PersistentVolumeClaim, &larger, &bound, Part::Main).is_empty());
        let pending = update_faults(&PersistentVolumeClaim, claim(), Part::Main, grow);
        assert!(pending[0].starts_with("spec: Forbidden: spec is immutable after creation"), "{pending:?}");
        let named = update_faults(&PersistentVolumeClaim, claim(), Part::Main, |new| {
            new["spec"]["volumeName"] = "v".into();
        });
        assert!(named.is_empty(), "{named:?}");
    }
}
