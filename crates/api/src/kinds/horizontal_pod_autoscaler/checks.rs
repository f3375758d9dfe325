//! What an autoscaler may say.

use serde_json::Value;

use super::metrics;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{get, int, int_ptr, list, text, text_ptr};
use crate::kinds::pod::quantities::quantity;
use crate::meta::names;

const STABILIZATION_SECONDS_MAX: i64 = 3600;
const PERIOD_SECONDS_MAX: i64 = 1800;

/// The spec; an object that already scales to 0 may go on.
pub fn spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, old: Option<&Value>) {
    let from_zero = old.is_some_and(|old| int_ptr(old, "minReplicas") == Some(0));
    let lowest = i64::from(!from_zero);
    let least = int_ptr(spec, "minReplicas");
    if let Some(least) = least.filter(|least| *least < lowest) {
        let detail = format!("must be greater than or equal to {lowest}");
        errors.invalid(&path.child("minReplicas"), &least.into(), detail);
    }
    let most = int(spec, "maxReplicas");
    let place = path.child("maxReplicas");
    match most {
        0 => errors.required(&place, "must be set and greater than 0"),
        ..0 => errors.invalid(&place, &most.into(), "must be greater than 0"),
        1.. => {}
    }
    if least.is_some_and(|least| most < least) {
        errors.invalid(&place, &most.into(), "must be greater than or equal to `minReplicas`");
    }
    reference(errors, &path.child("scaleTargetRef"), &spec["scaleTargetRef"], true);
    metrics::validate(errors, &path.child("metrics"), list(spec, "metrics"), least == Some(0));
    if let Some(behavior) = get(spec, "behavior") {
        let path = path.child("behavior");
        for key in ["scaleUp", "scaleDown"] {
            if let Some(rules) = get(behavior, key) {
                scaling(errors, &path.child(key), rules);
            }
        }
    }
}

/// What an autoscaler points at; what is scaled is in a group, but for what always was there.
pub fn reference(errors: &mut FieldErrors, path: &Path<'_>, reference: &Value, needs_group: bool) {
    for key in ["kind", "name"] {
        segment(errors, &path.child(key), text(reference, key), "");
    }
    let version = text(reference, "apiVersion");
    let path = path.child("apiVersion");
    let group = version.split_once('/').map_or("", |(group, _)| group);
    if version.matches('/').count() > 1 {
        let detail = format!("unexpected GroupVersion string: {version}");
        errors.invalid(&path, &version.into(), detail);
    } else if needs_group && group.is_empty() && text(reference, "kind") != "ReplicationController" {
        errors.invalid(&path, &version.into(), "apiVersion must specify API group");
    }
}

/// A name that is part of a path.
pub fn segment(errors: &mut FieldErrors, path: &Path<'_>, name: &str, missing: &str) {
    if name.is_empty() {
        errors.required(path, missing);
    } else {
        check::messages(errors, path, name, names::path_segment(name));
    }
}

fn scaling(errors: &mut FieldErrors, path: &Path<'_>, rules: &Value) {
    let place = path.child("stabilizationWindowSeconds");
    match int_ptr(rules, "stabilizationWindowSeconds") {
        Some(seconds @ ..0) => {
            errors.invalid(&place, &seconds.into(), "must be greater than or equal to zero");
        }
        Some(seconds) if seconds > STABILIZATION_SECONDS_MAX => {
            let detail = format!("must be less than or equal to {STABILIZATION_SECONDS_MAX}");
            errors.invalid(&place, &seconds.into(), detail);
        }
        _ => {}
    }
    if let Some(policy) = text_ptr(rules, "selectPolicy") {
        check::one_of(errors, &path.child("selectPolicy"), policy, &["Disabled", "Max", "Min"]);
    }
    let (tolerance, tolerance_path) = (get(rules, "tolerance"), path.child("tolerance"));
    let path = path.child("policies");
    let policies = list(rules, "policies");
    if policies.is_empty() {
        errors.required(&path, "must specify at least one Policy");
    }
    for (index, policy) in policies.iter().enumerate() {
        let path = path.index(index);
        check::one_of(errors, &path.child("type"), text(policy, "type"), &["Percent", "Pods"]);
        check::positive(errors, &path.child("value"), int(policy, "value"));
        let period = int(policy, "periodSeconds");
        let path = path.child("periodSeconds");
        check::positive(errors, &path, period);
        if period > PERIOD_SECONDS_MAX {
            let detail = format!("must be less than or equal to {PERIOD_SECONDS_MAX}");
            errors.invalid(&path, &period.into(), detail);
        }
    }
    if let Some(tolerance) = tolerance.filter(|tolerance| quantity(tolerance).sign() < 0) {
        errors.invalid(&tolerance_path, tolerance, "must be greater than or equal to 0");
    }
}

/// A write of the status.
pub fn status(errors: &mut FieldErrors, status: &Value) {
    for key in ["currentReplicas", "desiredReplicas"] {
        check::field_non_negative(errors, status, &Path::new("status"), key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tolerances_are_not_negative() {
        for (tolerance, expected) in [
            (json!("0"), None),
            (json!("50m"), None),
            (json!("-1"), Some("s.tolerance: Invalid value: \"-1\": must be greater than or equal to 0")),
        ] {
            let mut errors = FieldErrors::new();
            let rules = json!({"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1}], "tolerance": tolerance});
            scaling(&mut errors, &Path::new("s"), &rules);
            let found: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
