//! Which nodes a pod wants, and beside which pods.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::label_selector;
use crate::kinds::common::walk::{get, int, list, map, text};
use crate::meta::names;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// `spec.affinity`.
pub fn affinity(errors: &mut FieldErrors, path: &Path<'_>, affinity: &Value) {
    if let Some(nodes) = get(affinity, "nodeAffinity") {
        let path = path.child("nodeAffinity");
        if let Some(selector) = get(nodes, REQUIRED) {
            node_selector(errors, &path.child(REQUIRED), selector);
        }
        let path = path.child(PREFERRED);
        for (index, term) in list(nodes, PREFERRED).iter().enumerate() {
            let path = path.index(index);
            weight(errors, &path, term);
            if let Some(preference) = get(term, "preference") {
                node_term(errors, &path.child("preference"), preference, true);
            }
        }
    }
    for key in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = get(affinity, key) else { continue };
        let path = path.child(key);
        let required = path.child(REQUIRED);
        for (index, term) in list(pods, REQUIRED).iter().enumerate() {
            pod_term(errors, &required.index(index), term);
        }
        let preferred = path.child(PREFERRED);
        for (index, weighted) in list(pods, PREFERRED).iter().enumerate() {
            let path = preferred.index(index);
            weight(errors, &path, weighted);
            let term = get(weighted, "podAffinityTerm").unwrap_or(&Value::Null);
            pod_term(errors, &path.child("podAffinityTerm"), term);
        }
    }
}

fn weight(errors: &mut FieldErrors, path: &Path<'_>, term: &Value) {
    let weight = int(term, "weight");
    if !(1..=100).contains(&weight) {
        errors.invalid(&path.child("weight"), &weight.into(), "must be in the range 1-100");
    }
}

/// A `NodeSelector`, also of volumes.
pub fn node_selector(errors: &mut FieldErrors, path: &Path<'_>, selector: &Value) {
    let path = path.child("nodeSelectorTerms");
    let terms = list(selector, "nodeSelectorTerms");
    if terms.is_empty() {
        return errors.required(&path, "must have at least one node selector term");
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(errors, &path.index(index), term, false);
    }
}

fn node_term(errors: &mut FieldErrors, path: &Path<'_>, term: &Value, any_value: bool) {
    let labels = path.child("matchExpressions");
    for (index, requirement) in list(term, "matchExpressions").iter().enumerate() {
        node_label(errors, &labels.index(index), requirement, any_value);
    }
    let fields = path.child("matchFields");
    for (index, requirement) in list(term, "matchFields").iter().enumerate() {
        node_field(errors, &fields.index(index), requirement);
    }
}

fn node_label(errors: &mut FieldErrors, path: &Path<'_>, requirement: &Value, any_value: bool) {
    let values = list(requirement, "values");
    let place = path.child("values");
    match text(requirement, "operator") {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&place, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.forbidden(&place, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if values.len() != 1 => {
            errors.required(&place, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.invalid(&path.child("operator"), &other.into(), "not a valid selector operator"),
    }
    check::qualified(errors, &path.child("key"), text(requirement, "key"));
    if !any_value {
        for (index, value) in values.iter().filter_map(Value::as_str).enumerate() {
            check::messages(errors, &place.index(index), value, names::label_value(value));
        }
    }
}

fn node_field(errors: &mut FieldErrors, path: &Path<'_>, requirement: &Value) {
    let values = list(requirement, "values");
    let place = path.child("values");
    match text(requirement, "operator") {
        "In" | "NotIn" if values.len() != 1 => errors.required(
            &place,
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        ),
        "In" | "NotIn" => {}
        other => errors.invalid(&path.child("operator"), &other.into(), "not a valid selector operator"),
    }
    let key = text(requirement, "key");
    if key != "metadata.name" {
        return check::bad_text(errors, &path.child("key"), key, "not a valid field selector key");
    }
    for (index, value) in values.iter().filter_map(Value::as_str).enumerate() {
        check::subdomain(errors, &place.index(index), value);
    }
}

fn pod_term(errors: &mut FieldErrors, path: &Path<'_>, term: &Value) {
    for key in ["labelSelector", "namespaceSelector"] {
        label_selector::validate(get(term, key), false, &path.child(key), errors);
    }
    for name in list(term, "namespaces").iter().filter_map(Value::as_str) {
        check::label(errors, &path.child("namespace"), name);
    }
    label_keys(errors, path, term);
    let key = text(term, "topologyKey");
    if key.is_empty() {
        errors.required(&path.child("topologyKey"), "can not be empty");
    }
    check::qualified(errors, &path.child("topologyKey"), key);
}

/// `matchLabelKeys` and `mismatchLabelKeys` beside a selector. KEP-3633.
pub fn label_keys(errors: &mut FieldErrors, path: &Path<'_>, term: &Value) {
    let selector = get(term, "labelSelector");
    for key in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = list(term, key);
        let path = path.child(key);
        if keys.is_empty() {
            continue;
        }
        if selector.is_none() {
            errors.forbidden(&path, "must not be specified when labelSelector is not set");
            continue;
        }
        for (index, key) in keys.iter().filter_map(Value::as_str).enumerate() {
            check::qualified(errors, &path.index(index), key);
        }
    }
    let keys = list(term, "matchLabelKeys");
    if keys.is_empty() {
        return;
    }
    if let Some(selector) = selector {
        let mut seen: Vec<&str> = map(selector, "matchLabels").keys().map(String::as_str).collect();
        for expression in list(selector, "matchExpressions") {
            let key = text(expression, "key");
            if seen.contains(&key)
                && let Some(index) = keys.iter().rposition(|each| each == key)
            {
                let detail = "exists in both matchLabelKeys and labelSelector";
                check::bad_text(errors, &path.index(index), key, detail);
            }
            seen.push(key);
        }
    }
    let path = path.child("matchLabelKeys");
    for (index, key) in keys.iter().enumerate() {
        if list(term, "mismatchLabelKeys").contains(key) {
            errors.invalid(&path.index(index), key, "exists in both matchLabelKeys and mismatchLabelKeys");
        }
    }
}
