//! When a job is over: policies about failed pods (KEP-3329, KEP-3850) and about success (KEP-3998).

use serde_json::Value;

use super::indexes;
use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::kinds::common::check::{self, bad_without_value};
use crate::kinds::common::walk::{get, int, int_ptr, list, text, text_ptr};

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
const RULES_MAX: usize = 20;
const PATTERNS_MAX: usize = 20;
const CODES_MAX: usize = 255;
const INDEXES_BYTES_MAX: usize = 64 * 1024;

/// What failed pods mean.
pub fn failure(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let path = path.child("rules");
    let rules = list(&spec["podFailurePolicy"], "rules");
    if rules.len() > RULES_MAX {
        errors.too_many(&path, rules.len(), RULES_MAX);
    }
    for (index, rule) in rules.iter().enumerate() {
        failure_rule(errors, &path.index(index), spec, rule);
    }
}

fn failure_rule(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, rule: &Value) {
    let action = text(rule, "action");
    if action == "FailIndex" {
        if get(spec, "backoffLimitPerIndex").is_none() {
            let detail = "requires the backoffLimitPerIndex to be set";
            errors.invalid(&path.child("action"), &action.into(), detail);
        }
    } else {
        said_and_known(errors, &path.child("action"), action, &ACTIONS);
    }
    let codes = get(rule, "onExitCodes");
    if let Some(codes) = codes {
        exit_codes(errors, &path.child("onExitCodes"), &spec["template"]["spec"], codes);
    }
    let patterns = list(rule, "onPodConditions");
    let place = path.child("onPodConditions");
    if patterns.len() > PATTERNS_MAX {
        errors.too_many(&place, patterns.len(), PATTERNS_MAX);
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let path = place.index(index);
        check::qualified(errors, &path.child("type"), text(pattern, "type"));
        said_and_known(errors, &path.child("status"), text(pattern, "status"), &STATUSES);
    }
    match (codes.is_some(), !patterns.is_empty()) {
        (true, true) => bad_without_value(
            errors,
            path,
            "specifying both OnExitCodes and OnPodConditions is not supported",
        ),
        (false, false) => {
            bad_without_value(errors, path, "specifying one of OnExitCodes and OnPodConditions is required");
        }
        _ => {}
    }
}

fn said_and_known(errors: &mut FieldErrors, path: &Path<'_>, word: &str, words: &[&str]) {
    if word.is_empty() {
        let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        errors.required(path, format!("valid values: [{}]", words.join(" ")));
    } else {
        check::one_of(errors, path, word, words);
    }
}

fn exit_codes(errors: &mut FieldErrors, path: &Path<'_>, pods: &Value, codes: &Value) {
    let operator = text(codes, "operator");
    said_and_known(errors, &path.child("operator"), operator, &OPERATORS);
    if let Some(name) = text_ptr(codes, "containerName") {
        let mut containers = list(pods, "containers").iter().chain(list(pods, "initContainers"));
        if !containers.any(|container| text(container, "name") == name) {
            let detail = "must be one of the container or initContainer names in the pod template";
            errors.invalid(&path.child("containerName"), &name.into(), detail);
        }
    }
    let path = path.child("values");
    let values: Vec<i64> = list(codes, "values").iter().filter_map(Value::as_i64).collect();
    if values.is_empty() {
        // An empty list and none at all are one thing by now, and people write the former.
        errors.invalid_shown(&path, "[]", "at least one value is required");
    } else if values.len() > CODES_MAX {
        errors.too_many(&path, values.len(), CODES_MAX);
    }
    for (index, value) in values.iter().enumerate() {
        let path = path.index(index);
        if operator == "In" && *value == 0 {
            errors.invalid(&path, &0.into(), "must not be 0 for the In operator");
        }
        if values[..index].contains(value) {
            errors.duplicate(&path, &(*value).into());
        }
    }
    if !values.is_sorted() {
        errors.invalid(&path, &values.into(), "must be ordered");
    }
}

/// What success is.
pub fn success(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let path = path.child("rules");
    let rules = list(&spec["successPolicy"], "rules");
    if rules.is_empty() {
        errors.required(&path, "at least one rules must be specified when the successPolicy is specified");
    }
    if rules.len() > RULES_MAX {
        errors.too_many(&path, rules.len(), RULES_MAX);
    }
    let completions = int(spec, "completions");
    for (index, rule) in rules.iter().enumerate() {
        success_rule(errors, &path.index(index), rule, completions);
    }
}

fn success_rule(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value, completions: i64) {
    let (count, wanted) = (int_ptr(rule, "succeededCount"), text_ptr(rule, "succeededIndexes"));
    if count.is_none() && wanted.is_none() {
        errors.required(path, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut total = 0;
    if let Some(wanted) = wanted {
        let path = path.child("succeededIndexes");
        if wanted.len() > INDEXES_BYTES_MAX {
            errors.too_long(&path, INDEXES_BYTES_MAX);
        }
        match indexes::count(wanted, completions) {
            Ok(count) => total = count,
            Err(fault) => {
                errors.invalid(&path, &wanted.into(), format!("error parsing succeededIndexes: {fault}"));
            }
        }
    }
    let Some(count) = count else { return };
    let path = path.child("succeededCount");
    check::non_negative(errors, &path, count);
    let mut too_many = |limit: i64, what: &str| {
        let detail = format!("must be less than or equal to {limit} (the number of {what})");
        check::push(errors, FieldErrorKind::Invalid, &path, Some(count.to_string()), detail);
    };
    if count > completions {
        too_many(completions, "specified completions");
    }
    if wanted.is_some() && count > total {
        too_many(total, "indexes in the specified succeededIndexes field");
    }
}
