//! `ValidatingAdmissionPolicyBinding` of `admissionregistration.k8s.io/v1`.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>

use jiff::Timestamp;
use serde_json::Value;

use super::admission;
use super::common::cells::{self, column};
use super::common::check;
use super::common::walk::{get, get_mut, list, text, texts};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part};

/// The kind's rules.
pub struct ValidatingAdmissionPolicyBinding;

static INFO: KindInfo = admission::info(
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    "validatingadmissionpolicybinding",
    &[],
);

/// The columns of bindings of both sorts of policies.
pub static COLUMNS: &[Column] = &[
    cells::NAME,
    column("PolicyName", "string", "The policy."),
    column("ParamRef", "string", "Which objects are its parameters."),
    cells::AGE,
];

impl Kind for ValidatingAdmissionPolicyBinding {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        set_defaults(object);
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
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        row(object, now)
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
        actions(errors, object);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
        actions(errors, new);
    }
}

/// Fills in what a binding leaves out.
pub fn set_defaults(object: &mut Value) {
    let resources = get_mut(object, "spec").and_then(|spec| get_mut(spec, "matchResources"));
    if let Some(resources) = resources {
        admission::default_match_resources(resources);
    }
}

/// The cells of a binding's row.
pub fn row(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        cells::name(object),
        text(spec, "policyName").into(),
        admission::show_param_ref(get(spec, "paramRef")),
        cells::age(object, now),
    ]
}

/// Checks what bindings of both sorts of policies have.
pub fn validate(object: &Value, errors: &mut FieldErrors) {
    let (path, spec) = (Path::new("spec"), &object["spec"]);
    match text(spec, "policyName") {
        "" => errors.required(&path.child("policyName"), ""),
        name => check::subdomain(errors, &path.child("policyName"), name),
    }
    admission::validate_param_ref(errors, &path.child("paramRef"), get(spec, "paramRef"));
    if let Some(resources) = get(spec, "matchResources") {
        // Upstream's answer names the field so.
        admission::validate_match_resources(errors, &path.child("matchResouces"), resources);
    }
}

fn actions(errors: &mut FieldErrors, object: &Value) {
    let (path, spec) = (Path::new("spec.validationActions"), &object["spec"]);
    let all: Vec<&str> = texts(spec, "validationActions").collect();
    for (at, action) in all.iter().enumerate() {
        check::one_of(errors, &path.index(at), action, &["Audit", "Deny", "Warn"]);
        if all[..at].contains(action) {
            errors.duplicate(&path.index(at), &(*action).into());
        }
    }
    if all.contains(&"Deny") && all.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.invalid(&path, &spec["validationActions"], detail);
    }
    if list(spec, "validationActions").is_empty() {
        errors.required(&path, "at least one validation action is required");
    }
}
