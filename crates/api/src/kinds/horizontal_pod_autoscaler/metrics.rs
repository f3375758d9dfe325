//! The metrics that an autoscaler follows.

use serde_json::Value;

use super::checks::{reference, segment};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{get, int_ptr, text};
use crate::kinds::pod::resources;
use crate::quantity::Quantity;

/// Fields of the sources in upstream's order of asking, and the types that they are for.
const SOURCES: [(&str, &str); 5] = [
    ("object", "Object"),
    ("external", "External"),
    ("pods", "Pods"),
    ("resource", "Resource"),
    ("containerResource", "ContainerResource"),
];
const TYPES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

/// The list; with `to_zero`, something must be there to say when pods are needed again.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, metrics: &[Value], to_zero: bool) {
    for (index, metric) in metrics.iter().enumerate() {
        one(errors, &path.index(index), metric);
    }
    if to_zero && !metrics.iter().any(|metric| matches!(text(metric, "type"), "Object" | "External")) {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.forbidden(path, detail);
    }
}

fn one(errors: &mut FieldErrors, path: &Path<'_>, metric: &Value) {
    let kind = text(metric, "type");
    let place = path.child("type");
    if kind.is_empty() {
        errors.required(&place, "must specify a metric source type");
    }
    let known = TYPES.contains(&kind);
    if !known {
        errors.not_supported(&place, &kind.into(), TYPES);
    }
    let present = || SOURCES.iter().filter_map(|(key, of)| Some((*key, *of, get(metric, key)?)));
    if let Some((key, _, first)) = present().next() {
        source(errors, &path.child(key), key, first);
    }
    match SOURCES.iter().find(|(_, of)| *of == kind) {
        Some((key, _)) if get(metric, key).is_none() => {
            errors.required(&path.child(key), "must populate information for the given metric source");
        }
        Some(_) => {}
        None => errors.not_supported(&place, &kind.into(), TYPES),
    }
    if present().count() > 1 {
        for (key, ..) in present().filter(|(_, of, _)| *of != kind) {
            errors.forbidden(&path.child(key), "must populate the given metric source only");
        }
    }
}

fn source(errors: &mut FieldErrors, path: &Path<'_>, key: &str, source: &Value) {
    let nothing = Value::Null;
    let wanted = get(source, "target").unwrap_or(&nothing);
    let has = |key: &str| get(wanted, key).is_some();
    match key {
        "resource" => {
            if text(source, "name").is_empty() {
                errors.required(&path.child("name"), "must specify a resource name");
            }
        }
        "containerResource" => {
            match text(source, "name") {
                "" => errors.required(&path.child("name"), "must specify a resource name"),
                name => {
                    resources::container_resource_name(errors, &path.child("name"), name);
                }
            }
            match text(source, "container") {
                "" => errors.required(&path.child("container"), "must specify a container"),
                name => check::label(errors, &path.child("container"), name),
            }
        }
        _ => {
            if key == "object" {
                reference(errors, &path.child("describedObject"), &source["describedObject"], false);
            }
            let path = path.child("metric");
            segment(
                errors,
                &path.child("name"),
                text(&source["metric"], "name"),
                "must specify a metric name",
            );
        }
    }
    let path = path.child("target");
    target(errors, &path, wanted);
    let average = path.child("averageValue");
    match key {
        "object" if !has("value") && !has("averageValue") => {
            errors.required(&average, "must set either a target value or averageValue");
        }
        "external" if !has("value") && !has("averageValue") => {
            let detail = "must set either a target value for metric or a per-pod target";
            errors.required(&average, detail);
        }
        "external" if has("value") && has("averageValue") => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.forbidden(&path.child("value"), detail);
        }
        "pods" if !has("averageValue") => {
            errors.required(&average, "must specify a positive target averageValue");
        }
        "resource" | "containerResource" => match (has("averageUtilization"), has("averageValue")) {
            (false, false) => errors.required(
                &path.child("averageUtilization"),
                "must set either a target raw value or a target utilization",
            ),
            (true, true) => {
                errors.forbidden(&average, "may not set both a target raw value and a target utilization");
            }
            _ => {}
        },
        _ => {}
    }
}

fn target(errors: &mut FieldErrors, path: &Path<'_>, target: &Value) {
    let kind = text(target, "type");
    if kind.is_empty() {
        errors.required(&path.child("type"), "must specify a metric target type");
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.invalid(&path.child("type"), &kind.into(), detail);
    }
    for key in ["value", "averageValue"] {
        let amount = get(target, key);
        let number = amount.and_then(Value::as_str).and_then(|text| text.parse::<Quantity>().ok());
        if let Some(amount) = amount
            && number.is_some_and(|number| number.sign() <= 0)
        {
            errors.invalid(&path.child(key), amount, "must be positive");
        }
    }
    if let Some(share @ ..1) = int_ptr(target, "averageUtilization") {
        errors.invalid(&path.child("averageUtilization"), &share.into(), "must be greater than 0");
    }
}
