//! When containers are restarted, and when they are resized in place.

use serde_json::Value;

use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::kinds::common::check::{bad_text, one_of, push, required_one_of};
use crate::kinds::common::walk::{get, list, text, text_ptr};

const POLICIES: &[&str] = &["Always", "Never", "OnFailure"];
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;

/// `restartPolicy` and `restartPolicyRules` of a container. KEP-5307, KEP-5532.
pub fn policy(errors: &mut FieldErrors, path: &Path<'_>, container: &Value) {
    let rules = list(container, "restartPolicyRules");
    match text_ptr(container, "restartPolicy") {
        None if rules.is_empty() => return,
        None => errors
            .required(&path.child("restartPolicy"), "must specify restartPolicy when restart rules are used"),
        Some(policy) => one_of(errors, &path.child("restartPolicy"), policy, POLICIES),
    }
    let path = path.child("restartPolicyRules");
    if rules.len() > RULES_MAX {
        errors.too_many(&path, rules.len(), RULES_MAX);
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        one_of(errors, &path.child("action"), text(rule, "action"), &["Restart", "RestartAllContainers"]);
        let Some(codes) = get(rule, "exitCodes") else {
            errors.required(&path.child("exitCodes"), "must be specified");
            continue;
        };
        let path = path.child("exitCodes");
        one_of(errors, &path.child("operator"), text(codes, "operator"), &["In", "NotIn"]);
        let values = list(codes, "values").len();
        if values > EXIT_CODES_MAX {
            errors.too_many(&path.child("values"), values, EXIT_CODES_MAX);
        }
    }
}

/// `resizePolicy` of a container. KEP-1287.
pub fn resize(errors: &mut FieldErrors, path: &Path<'_>, container: &Value, pod_policy: &str) {
    let policies = list(container, "resizePolicy");
    for (index, each) in policies.iter().enumerate() {
        let (resource, policy) = (text(each, "resourceName"), text(each, "restartPolicy"));
        if policies[..index].iter().any(|earlier| text(earlier, "resourceName") == resource) {
            errors.duplicate(&path.index(index), &resource.into());
        }
        required_one_of(errors, path, resource, &["cpu", "memory"]);
        required_one_of(errors, path, policy, &["NotRequired", "RestartContainer"]);
        if pod_policy == "Never" && policy != "NotRequired" {
            bad_text(errors, path, policy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
        }
    }
}

/// A plain init container is not restarted for the sake of a resize.
pub fn never_for_resize(errors: &mut FieldErrors, path: &Path<'_>, container: &Value) {
    for (index, each) in list(container, "resizePolicy").iter().enumerate() {
        let policy = text(each, "restartPolicy");
        if policy == "RestartContainer" {
            let path = path.index(index);
            let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
            bad_text(errors, &path.child("restartPolicy"), policy, detail);
        }
    }
}

/// The pod's own policy.
pub fn pod_policy(errors: &mut FieldErrors, path: &Path<'_>, policy: &str) {
    match policy {
        "Always" | "OnFailure" | "Never" => {}
        "" => push(errors, FieldErrorKind::Required, path, None, ""),
        other => errors.not_supported(path, &other.into(), &["Always", "OnFailure", "Never"]),
    }
}
