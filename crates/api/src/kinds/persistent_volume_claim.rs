//! `PersistentVolumeClaim` of `v1`.

mod validate;

use super::common::{resource_list, storage};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column, wide};
use super::common::walk::{default_text, ensure, get_mut, set, text, text_ptr};
use super::pod::warnings::of_claim;
use crate::field::{FieldErrors, Path};
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
        storage::settle_sources(ensure(object, "spec"), None);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Main {
            storage::settle_sources(ensure(new, "spec"), Some(&old["spec"]));
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
        validate::spec(object, None, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        match part {
            Part::Status => validate::status(new, errors),
            _ => {
                validate::spec(new, Some(old), errors);
                validate::update(new, old, errors);
            }
        }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings: Vec<String> = storage::old_annotation(new).into_iter().collect();
        of_claim(&mut warnings, &Path::new("spec"), &new["spec"]);
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{changed, faults, made, update_faults};

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

    #[test]
    fn classes_of_attributes_are_kept_once_they_are_in_use() {
        let with = |class: Value, status: Value| {
            let mut old = made(&PersistentVolumeClaim, claim());
            old["metadata"]["resourceVersion"] = "1".into();
            old["spec"]["volumeAttributesClassName"] = "gold".into();
            old["status"] = status;
            let new = changed(&PersistentVolumeClaim, &old, Part::Main, |new| {
                new["spec"]["volumeAttributesClassName"] = class;
            });
            let found = crate::meta::check_update(&PersistentVolumeClaim, &new, &old, Part::Main);
            found
                .0
                .iter()
                .map(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        };
        let bound = json!({"phase": "Bound"});
        let used = json!({"phase": "Bound", "currentVolumeAttributesClassName": "gold"});
        let immutable = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        for (class, status, expected) in [
            (json!("silver"), bound.clone(), vec![]),
            (json!("silver"), json!({"phase": "Pending"}), vec![immutable]),
            (json!(""), bound, vec![]),
            (
                json!(""),
                used.clone(),
                vec![
                    "spec.volumeAttributesClassName: Forbidden: update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil",
                ],
            ),
            (
                Value::Null,
                used,
                vec![
                    immutable,
                    "spec.volumeAttributesClassName: Forbidden: update to nil is forbidden when status.currentVolumeAttributesClassName is not nil",
                ],
            ),
        ] {
            assert_eq!(with(class.clone(), status.clone()), expected, "{class} {status}");
        }
        let mut bad = claim();
        bad["spec"]["volumeAttributesClassName"] = "A_b".into();
        assert!(
            faults(&PersistentVolumeClaim, bad)[0]
                .starts_with("spec.volumeAttributesClassName: Invalid value: \"A_b\": a lowercase")
        );
    }

    #[test]
    fn the_old_annotation_stays() {
        let mut old = claim();
        old["metadata"] = json!({"annotations": {storage::CLASS_ANNOTATION: "a"}});
        let found = update_faults(&PersistentVolumeClaim, old, Part::Main, |new| {
            new["metadata"]["annotations"][storage::CLASS_ANNOTATION] = "b".into();
        });
        assert_eq!(
            found,
            [
                "metadata.annotations.volume.beta.kubernetes.io/storage-class: Invalid value: \"b\": field is immutable"
            ]
        );
    }

    #[test]
    fn statuses_are_checked() {
        let found = update_faults(&PersistentVolumeClaim, claim(), Part::Status, |new| {
            new["status"] = json!({"capacity": {"storage": "-1"}, "allocatedResourceStatuses": {"cpu": "NodeResizePending"},
                "allocatedResources": {"storage": "-1"}});
        });
        assert_eq!(
            found,
            [
                "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
                "status.allocatedResourceStatus: Unsupported value: \"cpu\": supported values: \"storage\"",
                "status.allocatedResources[storage]: Invalid value: -1: must be a valid resource quantity",
            ]
        );
    }

    #[test]
    fn what_is_odd_is_told() {
        let mut odd = claim();
        odd["spec"]["resources"]["requests"]["storage"] = "1500m".into();
        odd["metadata"] = json!({"annotations": {storage::CLASS_ANNOTATION: "a"}});
        assert_eq!(
            PersistentVolumeClaim.warnings(&odd, None),
            [
                "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use \"storageClassName\" attribute instead",
                "spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
            ]
        );
    }
}
