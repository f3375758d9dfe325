//! `Lease` of `coordination.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::walk::{get_mut, int_ptr, remove, text};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope};

/// The kind's rules.
pub struct Lease;

static INFO: KindInfo = KindInfo {
    group: "coordination.k8s.io",
    version: "v1",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "leases",
};

static COLUMNS: &[Column] = &[cells::NAME, column("Holder", "string", "Who holds the lease."), cells::AGE];

impl Kind for Lease {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), text(&object["spec"], "holderIdentity").into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        drop_closed(object);
    }

    fn prepare_update(&self, new: &mut Value, _old: &Value, _part: Part, _rules: &Rules<'_>) {
        drop_closed(new);
    }
}

/// Fields of coordinated leader election, whose feature gate is closed (KEP-4355).
fn drop_closed(object: &mut Value) {
    if let Some(spec) = get_mut(object, "spec") {
        remove(spec, "strategy");
        remove(spec, "preferredHolder");
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    if let Some(seconds @ ..=0) = int_ptr(spec, "leaseDurationSeconds") {
        errors.invalid(&path.child("leaseDurationSeconds"), &seconds.into(), "must be greater than 0");
    }
    check::field_non_negative(errors, spec, &path, "leaseTransitions");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, made};

    #[test]
    fn durations_are_positive() {
        assert_eq!(
            faults(&Lease, json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}})),
            [
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
                "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
            ]
        );
        let made =
            made(&Lease, json!({"spec": {"holderIdentity": "h", "strategy": "OldestEmulationVersion"}}));
        assert_eq!(made["spec"], json!({"holderIdentity": "h"}));
    }
}
