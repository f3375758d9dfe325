//! `PersistentVolume` of `v1`.

mod old_sources;
pub(super) mod validate;

use super::common::{node_labels, resource_list, storage};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column, wide};
use super::common::walk::{default, default_text, ensure, get, get_mut, keep, list, set, text, text_ptr};
use crate::field::{FieldErrors, Path};
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

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let spec = &new["spec"];
        let mut warnings: Vec<String> = storage::old_annotation(new).into_iter().collect();
        if text(spec, "persistentVolumeReclaimPolicy") == "Recycle" {
            let words = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.";
            warnings.push(format!("spec.persistentVolumeReclaimPolicy: {words}"));
        }
        let terms = Path::new("spec.nodeAffinity.required.nodeSelectorTerms");
        warnings.extend(node_labels::in_terms(
            list(&spec["nodeAffinity"]["required"], "nodeSelectorTerms"),
            &terms,
        ));
        for (source, shown, words) in OLD_SOURCES {
            if get(spec, source).is_some() {
                warnings.push(format!("spec.{shown}: deprecated in {words}"));
            }
        }
        warnings
    }
}

/// Sources whose drivers are gone: field, how it is shown, since when.
const OLD_SOURCES: [(&str, &str, &str); 6] = [
    ("cephfs", "cephfs", "v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "v1.28, non-functional in v1.31+"),
];

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
        let mut alone = volume();
        alone["spec"]["accessModes"] = json!(["ReadWriteOncePod", "Some"]);
        assert_eq!(
            faults(&PersistentVolume, alone),
            [
                "spec.accessModes: Unsupported value: \"Some\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\""
            ]
        );
        let mut two = volume();
        two["spec"]["nfs"] = json!({"server": "s", "path": "/p"});
        assert_eq!(
            faults(&PersistentVolume, two),
            ["spec.nfs: Forbidden: may not specify more than 1 volume type"]
        );
        let mut disk = volume();
        disk["spec"]["hostPath"] = Value::Null;
        disk["spec"]["gcePersistentDisk"] = json!({"pdName": ""});
        assert_eq!(faults(&PersistentVolume, disk), ["spec.persistentDisk.pdName: Required value"]);
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

    #[test]
    fn classes_of_attributes_belong_to_drivers() {
        let with = |change: &dyn Fn(&mut Value)| {
            let mut object = volume();
            change(&mut object["spec"]);
            object
        };
        let class = |name: &'static str| {
            with(&move |spec: &mut Value| spec["volumeAttributesClassName"] = name.into())
        };
        let needs = "spec.csi: Required value: has to be specified when using volumeAttributesClassName";
        assert_eq!(faults(&PersistentVolume, class("gold")), [needs]);
        assert_eq!(
            faults(&PersistentVolume, class("")),
            ["spec.volumeAttributesClassName: Required value: an empty string is disallowed", needs]
        );
        let driven = |spec: &mut Value| {
            spec["hostPath"] = Value::Null;
            spec["csi"] = json!({"driver": "d.x.io", "volumeHandle": "h"});
        };
        let mut classed = with(&driven);
        classed["spec"]["volumeAttributesClassName"] = "gold".into();
        assert_eq!(
            update_faults(&PersistentVolume, classed, Part::Main, |new| {
                new["spec"]["volumeAttributesClassName"] = Value::Null;
            }),
            ["spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"]
        );
        // A secret for growing may be named later; it must be named well.
        let named = |name: &'static str| {
            update_faults(&PersistentVolume, with(&driven), Part::Main, |new| {
                new["spec"]["csi"]["controllerExpandSecretRef"] = json!({"name": name, "namespace": "n"});
            })
        };
        assert!(named("s").is_empty());
        assert!(
            named("S")[0]
                .starts_with("spec.csi.controllerExpandSecretRef.name: Invalid value: \"S\": a lowercase")
        );
    }

    #[test]
    fn what_is_old_is_told() {
        let object = json!({
            "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "x"}},
            "spec": {"persistentVolumeReclaimPolicy": "Recycle", "storageos": {}, "nodeAffinity": {"required":
                {"nodeSelectorTerms": [{"matchExpressions": [{"key": "beta.kubernetes.io/os", "operator": "Exists"}]}]}}},
        });
        assert_eq!(
            PersistentVolume.warnings(&object, None),
            [
                "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead",
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
                "spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use \"kubernetes.io/os\" instead",
                "spec.storageOS: deprecated in v1.22, non-functional in v1.25+",
            ]
        );
    }
}
