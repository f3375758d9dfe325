//! Checks of ResourceQuotas.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::walk::{get, list, map, text, texts};
use crate::kinds::pod::{quantities::quantity, resources};

/// What upstream counts or sums without a domain in the name.
const STANDARD: [&str; 21] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "hugepages-",
    "requests.hugepages-",
];
const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
const COMPUTE: [&str; 7] =
    ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];

fn is_standard(name: &str) -> bool {
    STANDARD.iter().any(|known| if known.ends_with('-') { name.starts_with(known) } else { name == *known })
}

fn fits(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        scope if SCOPES.contains(&scope) => COMPUTE.contains(&resource),
        _ => true,
    }
}

fn amounts(holder: &Value, key: &str, parent: &Path<'_>, errors: &mut FieldErrors) {
    let path = parent.child(key);
    for (name, amount) in map(holder, key) {
        let path = path.key(name);
        resources::known_resource_name(errors, &path, name);
        if !name.contains('/') && !is_standard(name) {
            errors.invalid(&path, &name.as_str().into(), "must be a standard resource for quota");
        }
        resources::quantity_value(errors, &path, name, quantity(amount));
    }
}

fn conflicting(scopes: &[&str]) -> bool {
    [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]]
        .iter()
        .any(|pair| pair.iter().all(|scope| scopes.contains(scope)))
}

/// Checks the spec.
pub fn spec(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    amounts(spec, "hard", &path, errors);
    let unfit =
        |scope: &str| map(spec, "hard").keys().filter(|name| is_standard(name) && !fits(scope, name)).count();
    let scopes: Vec<&str> = texts(spec, "scopes").collect();
    let place = path.child("scopes");
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            errors.invalid(&place, &spec["scopes"], "unsupported scope");
        }
        for _ in 0..unfit(scope) {
            errors.invalid(&place, &spec["scopes"], "unsupported scope applied to resource");
        }
    }
    if conflicting(&scopes) {
        errors.invalid(&place, &spec["scopes"], "conflicting scopes");
    }
    let Some(selector) = get(spec, "scopeSelector") else { return };
    let path = path.child("scopeSelector");
    let path = path.child("matchExpressions");
    let mut scopes = Vec::new();
    for expression in list(selector, "matchExpressions") {
        let scope = text(expression, "scopeName");
        if !SCOPES.contains(&scope) {
            errors.invalid(&path.child("scopeName"), &scope.into(), "unsupported scope");
        }
        for _ in 0..unfit(scope) {
            errors.invalid(&path, selector, "unsupported scope applied to resource");
        }
        operator(expression, scope, &path, errors);
        scopes.push(scope);
    }
    if conflicting(&scopes) {
        errors.invalid(&path, &spec["scopes"], "conflicting scopes");
    }
}

fn operator(expression: &Value, scope: &str, path: &Path<'_>, errors: &mut FieldErrors) {
    let operator = text(expression, "operator");
    let place = path.child("operator");
    if matches!(
        scope,
        "BestEffort" | "NotBestEffort" | "Terminating" | "NotTerminating" | "CrossNamespacePodAffinity"
    ) && operator != "Exists"
    {
        errors.invalid(
            &place,
            &operator.into(),
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
        );
    }
    let values = list(expression, "values");
    match operator {
        "In" | "NotIn" if values.is_empty() => errors.required(
            &path.child("values"),
            "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        ),
        "Exists" | "DoesNotExist" if !values.is_empty() => errors.invalid(
            &path.child("values"),
            &expression["values"],
            "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
        ),
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.invalid(&place, &other.into(), "not a valid selector operator"),
    }
}

/// The scopes are those of the old object.
pub fn scopes_stay(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let sorted = |object: &Value| {
        let mut scopes: Vec<String> = texts(&object["spec"], "scopes").map(str::to_owned).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    };
    if sorted(new) != sorted(old) {
        let path = Path::new("spec");
        errors.invalid(&path.child("scopes"), &new["spec"]["scopes"], "field is immutable");
    }
}

/// Checks the status.
pub fn status(object: &Value, errors: &mut FieldErrors) {
    let status = &object["status"];
    let path = Path::new("status");
    amounts(status, "hard", &path, errors);
    amounts(status, "used", &path, errors);
}
