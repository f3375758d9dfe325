//! One request of a claim.

use serde_json::Value;

use super::{distinct, few, selector, toleration};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{default_int, default_text, get, get_mut, int, list, list_mut, text};

/// Most choices of one request.
const CHOICES_MAX: usize = 8;

/// How many devices a request is for, where it doesn't say.
pub fn set_defaults(request: &mut Value) {
    if let Some(exactly) = get_mut(request, "exactly") {
        amount_defaults(exactly);
    }
    list_mut(request, "firstAvailable").iter_mut().for_each(amount_defaults);
}

fn amount_defaults(request: &mut Value) {
    default_text(request, "allocationMode", "ExactCount");
    if text(request, "allocationMode") == "ExactCount" {
        default_int(request, "count", 1);
    }
    // The schema's default has no effect inside of lists of a list.
    for toleration in list_mut(request, "tolerations") {
        default_text(toleration, "operator", "Equal");
    }
}

/// Checks a request.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, request: &Value) {
    check::label(errors, &path.child("name"), text(request, "name"));
    let choices = list(request, "firstAvailable");
    match get(request, "exactly") {
        None if choices.is_empty() => {
            errors.required(path, "exactly one of `exactly` or `firstAvailable` is required");
        }
        Some(_) if !choices.is_empty() => {
            let detail =
                "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.invalid(path, &Value::Null, detail);
        }
        Some(exactly) => asked(errors, &path.child("exactly"), exactly),
        None => {
            let path = path.child("firstAvailable");
            if few(errors, &path, choices, CHOICES_MAX) {
                for (at, choice) in choices.iter().enumerate() {
                    let path = path.index(at);
                    check::label(errors, &path.child("name"), text(choice, "name"));
                    asked(errors, &path, choice);
                }
                distinct(errors, &path, choices, |choice| text(choice, "name"));
            }
        }
    }
}

/// What is asked for, by a request or by one of its choices.
fn asked(errors: &mut FieldErrors, path: &Path<'_>, asked: &Value) {
    match text(asked, "deviceClassName") {
        "" => errors.required(&path.child("deviceClassName"), ""),
        class => check::subdomain(errors, &path.child("deviceClassName"), class),
    }
    selector::list(errors, path, asked, false);
    let count = int(asked, "count");
    match text(asked, "allocationMode") {
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            errors.invalid(&path.child("count"), &count.into(), detail);
        }
        "All" => {}
        "ExactCount" => check::positive(errors, &path.child("count"), count),
        other => check::one_of(errors, &path.child("allocationMode"), other, &["All", "ExactCount"]),
    }
    let path = path.child("tolerations");
    for (at, each) in list(asked, "tolerations").iter().enumerate() {
        toleration(errors, &path.index(at), each);
    }
}
