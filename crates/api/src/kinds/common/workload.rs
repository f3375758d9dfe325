//! What the rules of owners of pods share: the selector, the template, counters in the status.

use serde_json::Value;

use super::label_selector;
use super::walk::{at, get, int, text};
use crate::field::{FieldErrors, Path};
use crate::kinds::pod::template;
use crate::selector::LabelSelector;

const NOTHING: Value = Value::Null;

/// `spec.selector`: there, valid, and not empty; `of` is the kind in small letters.
pub fn selector(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, of: &str) {
    let Some(selector) = get(spec, "selector") else {
        errors.required(&path.child("selector"), "");
        return;
    };
    label_selector::validate(Some(selector), false, &path.child("selector"), errors);
    not_empty(errors, path, spec, of);
}

/// `spec.selector` says something.
pub fn not_empty(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, of: &str) {
    if get(spec, "selector").is_some_and(label_selector::is_empty) {
        let detail = format!("empty selector is invalid for {of}");
        errors.invalid_shown(&path.child("selector"), "{}", detail);
    }
}

/// Whether the selector selects what the template makes. `invalid` is what is said of a selector that isn't one;
/// the result is whether it is one.
pub fn selects_template(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    spec: &Value,
    invalid: Option<&'static str>,
) -> bool {
    let selector = get(spec, "selector").unwrap_or(&NOTHING);
    match LabelSelector::of_object(selector) {
        Ok(selector) => {
            let labels = at(spec, &["template", "metadata", "labels"]).unwrap_or(&NOTHING);
            if !selector.is_everything() && !selector.matches(labels) {
                mismatch(errors, path, labels);
            }
            true
        }
        Err(_) => {
            if let Some(detail) = invalid {
                errors.invalid_shown(&path.child("selector"), label_selector::json(selector), detail);
            }
            false
        }
    }
}

/// The template's labels are not what the selector asks for.
pub fn mismatch(errors: &mut FieldErrors, path: &Path<'_>, labels: &Value) {
    let path = path.child("template");
    let detail = "`selector` does not match template `labels`";
    errors.invalid(&path.child("metadata.labels"), labels, detail);
}

/// The template at `spec.template`, whose pods run for ever; `of` is the kind that says so.
pub fn template(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, of: &str) {
    let path = path.child("template");
    template::validate(errors, &path, get(spec, "template").unwrap_or(&NOTHING));
    runs_for_ever(errors, &path, spec, of);
}

/// The pods of `spec.template` (`path`) are started again and again.
pub fn runs_for_ever(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, of: &str) {
    let pods = at(spec, &["template", "spec"]).unwrap_or(&NOTHING);
    let path = path.child("spec");
    let policy = text(pods, "restartPolicy");
    if policy != "Always" {
        errors.not_supported(&path.child("restartPolicy"), &policy.into(), &["Always"]);
    }
    if get(pods, "activeDeadlineSeconds").is_some() {
        let detail = format!("activeDeadlineSeconds in {of} is not Supported");
        errors.forbidden(&path.child("activeDeadlineSeconds"), detail);
    }
}

/// Counters that are at most another one.
pub fn at_most(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    status: &Value,
    keys: &[&str],
    limit: &str,
    detail: &str,
) {
    let limit = int(status, limit);
    for key in keys {
        let count = int(status, key);
        if count > limit {
            errors.invalid(&path.child(key), &count.into(), detail);
        }
    }
}
