//! `MutatingAdmissionPolicyBinding` of `admissionregistration.k8s.io/v1` (KEP-3962).
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/>

use jiff::Timestamp;
use serde_json::Value;

use super::admission;
use super::common::check;
use super::common::walk::texts;
use super::validating_admission_policy_binding as binding;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part};

/// The kind's rules.
pub struct MutatingAdmissionPolicyBinding;

static INFO: KindInfo = admission::info(
    "MutatingAdmissionPolicyBinding",
    "mutatingadmissionpolicybindings",
    "mutatingadmissionpolicybinding",
    &[],
);

impl Kind for MutatingAdmissionPolicyBinding {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        binding::set_defaults(object);
    }

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> &'static [Column] {
        binding::COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        binding::row(object, now)
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    binding::validate(object, errors);
    let rules = object["spec"]["matchResources"]["resourceRules"].as_array();
    for (at, rule) in rules.into_iter().flatten().enumerate() {
        for (index, operation) in texts(rule, "operations").enumerate() {
            let path = Path::new("spec.matchResources.resourceRules");
            let path = path.index(at);
            let path = path.child("operations");
            check::one_of(errors, &path.index(index), operation, &["CREATE", "UPDATE"]);
        }
    }
}
