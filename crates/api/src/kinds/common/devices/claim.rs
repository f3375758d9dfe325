//! `spec.devices` of claims and their templates.

use serde_json::Value;

use super::{REQUESTS_MAX, config, distinct, few, names, references, request};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{ensure, list, list_mut, text, text_ptr};

/// Most constraints of a claim.
const CONSTRAINTS_MAX: usize = 32;
const NO_REQUEST: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/// The names of a claim's requests, each with those of its choices.
pub struct RequestNames<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl<'a> RequestNames<'a> {
    /// Those of `spec.devices`.
    pub fn of(devices: &'a Value) -> Self {
        let choices = |request: &'a Value| {
            list(request, "firstAvailable").iter().map(|choice| text(choice, "name")).collect()
        };
        RequestNames(
            list(devices, "requests")
                .iter()
                .map(|request| (text(request, "name"), choices(request)))
                .collect(),
        )
    }

    fn has(&self, name: &str) -> bool {
        let (request, choice) = name.split_once('/').map_or((name, None), |(a, b)| (a, Some(b)));
        // Of two requests with one name the last counts.
        let found = self.0.iter().rev().find(|(known, _)| *known == request);
        found.is_some_and(|(_, choices)| choice.is_none_or(|choice| choices.contains(&choice)))
    }
}

/// Checks the name of a request, or of a request and one of its choices.
pub fn reference(errors: &mut FieldErrors, path: &Path<'_>, name: &str, known: &RequestNames<'_>) {
    if name.matches('/').count() > 1 {
        return check::bad_text(errors, path, name, NO_REQUEST);
    }
    for part in name.split('/') {
        check::label(errors, path, part);
    }
    if !known.has(name) {
        check::bad_text(errors, path, name, NO_REQUEST);
    }
}

/// Fills in `devices` of the spec of a claim.
pub fn set_defaults(spec: &mut Value) {
    list_mut(ensure(spec, "devices"), "requests").iter_mut().for_each(request::set_defaults);
}

/// Checks the spec of a claim; `path` is the spec's.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let (path, devices) = (path.child("devices"), &spec["devices"]);
    let known = RequestNames::of(devices);
    let (place, requests) = (path.child("requests"), list(devices, "requests"));
    if few(errors, &place, requests, REQUESTS_MAX) {
        for (at, each) in requests.iter().enumerate() {
            request::validate(errors, &place.index(at), each);
        }
        distinct(errors, &place, requests, |request| text(request, "name"));
    }
    let (place, constraints) = (path.child("constraints"), list(devices, "constraints"));
    if few(errors, &place, constraints, CONSTRAINTS_MAX) {
        for (at, each) in constraints.iter().enumerate() {
            constraint(errors, &place.index(at), each, &known);
        }
    }
    config::of_claim(errors, &path, devices, &known);
}

fn constraint(errors: &mut FieldErrors, path: &Path<'_>, constraint: &Value, known: &RequestNames<'_>) {
    references(errors, path, constraint, known);
    let given = ["matchAttribute", "distinctAttribute"]
        .into_iter()
        .find_map(|key| text_ptr(constraint, key).map(|name| (key, name)));
    match given {
        Some((key, name)) => names::fully_qualified(errors, &path.child(key), name),
        // Upstream's words, although none is set.
        None => errors.required(
            path,
            "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set",
        ),
    }
}
