//! `PersistentVolume` of `v1`.

mod validate;

use super::common::{resource_list, storage};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column, wide};
use super::common::walk::{default, default_text, ensure, get, get_mut, keep, set, text, text_ptr};
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource};

/// The kind's rules.
pub struct PersistentVolume;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "PersistentVolume",
    plural: "persistentvolumes",
    singular: "persistentvolume",
    short_names: &["pv"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "PersistentVolume",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "persistentvolumes",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Capacity", "string", "How big it is."),
    column("Access Modes", "string", "How it may be mounted."),
    column("Reclaim Policy", "string", "What happens when it is released."),
    column("Status", "string", "Phase of the volume."),
    column("Claim", "string", "The claim it is bound to."),
    column("StorageClass", "string", "Class of the volume."),
    column("VolumeAttributesClass", "string", "Class of its attributes."),
    column("Reason", "string", "Why it is in its phase."),
    cells::AGE,
    wide("VolumeMode", "string", "File system or block device."),
];

impl Kind for PersistentVolume {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn set_defaults(&self, object: &mut Value) {
        default_text(ensure(object, "status"), "phase", "Pending");
        let spec = ensure(object, "spec");
        default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
        default(spec, "volumeMode", "Filesystem");
        resource_list::round_up(get_mut(spec, "capacity"));
        storage::default_source(spec);
    }

    fn prepare_create(&self, object: &mut Value, rules: &Rules<'_>) {
        set(object, "status", json!({"phase": "Pending", "lastPhaseTransitionTime": rules.now}));
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, rules: &Rules<'_>) {
        let (was, status) = (&old["status"], ensure(new, "status"));
        let key = "lastPhaseTransitionTime";
        if part != Part::Status {
            return;
        }
        let changed = text(was, "phase") != text(status, "phase");
        if changed && (get(status, key).is_none() || get(status, key) == get(was, key)) {
            set(status, key, rules.now);
        } else if get(status, key).is_none() {
            keep(status, was, key);
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let claim = get(spec, "claimRef").map_or_else(String::new, |claim| {
            format!("{}/{}", text(claim, "namespace"), text(claim, "name"))
        });
        vec![
            cells::name(object),
            text(&spec["capacity"], "storage").into(),
            storage::access_modes(spec).into(),
            text(spec, "persistentVolumeReclaimPolicy").into(),
            storage::phase(object).into(),
            claim.into(),
            storage::class(object).into(),
            text_ptr(spec, "volumeAttributesClassName").unwrap_or("<unset>").into(),
            text(status, "reason").into(),
            cells::age(object, now),
            text_ptr(spec, "volumeMode").unwrap_or("<unset>").into(),
        ]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::object(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Main {
            validate::object(new, errors);
            validate::update(new, old, errors);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{changed, faults, made, update_faults};

    fn volume() -> Value {
        json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/a"}}})
    }

    #[test]
    fn one_source_that_stays() {
        assert!(faults(&PersistentVolume, volume()).is_empty());
        let mut two = volume();
        two["spec"]["nfs"] = json!({"server": "s", "path": "/p"});
        assert_eq!(
            faults(&PersistentVolume, two),
            ["spec.nfs: Forbidden: may not specify more than 1 volume type"]
        );
        let moved = update_faults(&PersistentVolume, volume(), Part::Main, |new| {
            new["spec"]["hostPath"]["path"] = "/b".into();
        });
        assert!(
            moved[0].contains("is immutable after creation\n") && moved[0].contains("+  \"Path\": \"/b\","),
            "{moved:?}"
        );
    }

    #[test]
    fn phases_have_times() {
        let old = made(&PersistentVolume, volume());
        assert_eq!(old["status"]["phase"], "Pending");
        let mut past = old;
        past["status"]["lastPhaseTransitionTime"] = "2025-01-01T00:00:00Z".into();
        let bound =
            changed(&PersistentVolume, &past, Part::Status, |new| new["status"]["phase"] = "Bound".into());
        assert_eq!(bound["status"]["lastPhaseTransitionTime"], "2026-01-01T00:00:00Z");
        let same = changed(&PersistentVolume, &past, Part::Status, |new| {
            new["status"] = json!({"phase": "Pending"})
        });
        assert_eq!(same["status"]["lastPhaseTransitionTime"], "2025-01-01T00:00:00Z");
    }
}
