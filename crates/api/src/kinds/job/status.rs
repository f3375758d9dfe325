//! Changes of a job's status. Most rules ask only about what changes: the spec may have changed in between.

use std::collections::HashSet;

use serde_json::Value;

use super::{indexes, is_true};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::cells::time;
use crate::kinds::common::check::{self, bad_without_value, field_non_negative};
use crate::kinds::common::walk::{flag, get, int, int_ptr, list, same, text, text_ptr};
use crate::kinds::pod::internal;

/// Conditions of a status, as the rules ask for them.
#[derive(Clone, Copy, PartialEq)]
struct State {
    complete: bool,
    failed: bool,
    will_fail: bool,
    success: bool,
}

impl State {
    fn of(status: &Value) -> State {
        State {
            complete: is_true(status, "Complete"),
            failed: is_true(status, "Failed"),
            will_fail: is_true(status, "FailureTarget"),
            success: is_true(status, "SuccessCriteriaMet"),
        }
    }

    fn finished(self) -> bool {
        self.complete || self.failed
    }
}

/// What the rules look at.
struct Change<'a> {
    new: &'a Value,
    old: &'a Value,
    now: State,
    before: State,
}

impl Change<'_> {
    fn of(&self, key: &str) -> bool {
        !same(get(self.new, key), get(self.old, key))
    }

    fn finished(&self) -> bool {
        self.now.finished() != self.before.finished()
    }

    fn complete(&self) -> bool {
        self.now.complete != self.before.complete
    }
}

/// A write of the status.
pub fn validate(errors: &mut FieldErrors, new: &Value, old: &Value) {
    let path = Path::new("status");
    let spec = &new["spec"];
    let (status, was) = (&new["status"], &old["status"]);
    let change = Change { new: status, old: was, now: State::of(status), before: State::of(was) };
    for key in ["active", "succeeded", "failed", "ready", "terminating"] {
        field_non_negative(errors, status, &path, key);
    }
    uncounted(errors, &path, status);
    times(errors, &path, &change);
    finished(errors, &path, &change);
    sets(errors, &path, spec, &change);
    if int(status, "terminating") > 0
        && change.now.finished()
        && (change.finished() || change.of("terminating"))
    {
        let detail = "terminating>0 is invalid for finished job";
        errors.invalid(&path.child("terminating"), &status["terminating"], detail);
    }
    if let Some(ready) = int_ptr(status, "ready")
        && ready > int(status, "active")
        && (change.of("ready") || change.of("active"))
    {
        errors.invalid(&path.child("ready"), &ready.into(), "cannot set more ready pods than active");
    }
    success(errors, &path, spec, change.now);
    back(errors, &path, spec, &change);
}

fn uncounted(errors: &mut FieldErrors, path: &Path<'_>, status: &Value) {
    let path = path.child("uncountedTerminatedPods");
    let mut seen = HashSet::new();
    for key in ["succeeded", "failed"] {
        let path = path.child(key);
        for (index, uid) in list(&status["uncountedTerminatedPods"], key).iter().enumerate() {
            let path = path.index(index);
            if uid.as_str().is_none_or(str::is_empty) {
                errors.invalid(&path, &"".into(), "must not be empty");
            } else if !seen.insert(uid.as_str()) {
                errors.duplicate(&path, uid);
            }
        }
    }
}

/// Conditions that exclude each other, and the time of completion.
fn times(errors: &mut FieldErrors, path: &Path<'_>, change: &Change<'_>) {
    let (now, before) = (change.now, change.before);
    let conditions = path.child("conditions");
    if now.complete && now.failed && (change.complete() || now.failed != before.failed) {
        bad_without_value(errors, &conditions, "cannot set Complete=True and Failed=true conditions");
    }
    if now.complete && now.will_fail && (change.complete() || now.will_fail != before.will_fail) {
        bad_without_value(errors, &conditions, "cannot set Complete=True and FailureTarget=true conditions");
    }
    let (started, completed) = (get(change.new, "startTime"), get(change.new, "completionTime"));
    let path = path.child("completionTime");
    if change.complete() || change.of("completionTime") {
        match completed {
            Some(completed) if !now.complete => {
                let detail = "cannot set completionTime when there is no Complete=True condition";
                errors.invalid(&path, completed, detail);
            }
            None if now.complete => errors.required(&path, "completionTime is required for Complete jobs"),
            _ => {}
        }
    }
    if let (Some(from), Some(to), Some(completed)) = (time(started), time(completed), completed)
        && to < from
        && (change.of("startTime") || change.of("completionTime"))
    {
        errors.invalid(&path, completed, "completionTime cannot be set before startTime");
    }
}

/// What is asked of a job that is over.
fn finished(errors: &mut FieldErrors, path: &Path<'_>, change: &Change<'_>) {
    let (now, before) = (change.now, change.before);
    let conditions = path.child("conditions");
    if now.failed && !now.will_fail && (now.failed != before.failed || now.will_fail != before.will_fail) {
        let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
        bad_without_value(errors, &conditions, detail);
    }
    if now.complete && !now.success && (change.complete() || now.success != before.success) {
        let detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        bad_without_value(errors, &conditions, detail);
    }
    if !now.finished() {
        return;
    }
    let status = change.new;
    if int(status, "active") > 0 && (change.finished() || change.of("active")) {
        errors.invalid(&path.child("active"), &status["active"], "active>0 is invalid for finished job");
    }
    if get(status, "startTime").is_none() && (change.finished() || change.of("startTime")) {
        errors.required(&path.child("startTime"), "startTime is required for finished job");
    }
    let pods = &status["uncountedTerminatedPods"];
    if !(list(pods, "failed").is_empty() && list(pods, "succeeded").is_empty())
        && (change.finished() || change.of("uncountedTerminatedPods"))
    {
        errors.invalid_shown(
            &path.child("uncountedTerminatedPods"),
            internal::json("UncountedTerminatedPods", pods),
            "uncountedTerminatedPods needs to be empty for finished job",
        );
    }
}

/// The indexes that completed and failed.
fn sets(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, change: &Change<'_>) {
    let completed = text(change.new, "completedIndexes");
    let failed = text_ptr(change.new, "failedIndexes");
    let (new_completed, new_failed) = (change.of("completedIndexes"), change.of("failedIndexes"));
    let completions = int_ptr(spec, "completions");
    let per_index = get(spec, "backoffLimitPerIndex").is_some();
    let mut fault = |key: &str, shown: &str, detail: String| {
        errors.invalid(&path.child(key), &shown.into(), detail);
    };
    if let Some(completions) = completions {
        if new_completed && let Err(error) = indexes::count(completed, completions) {
            fault("completedIndexes", completed, format!("error parsing completedIndexes: {error}"));
        }
        if let Some(failed) = failed
            && new_failed
            && per_index
            && let Err(error) = indexes::count(failed, completions)
        {
            fault("failedIndexes", failed, format!("error parsing failedIndexes: {error}"));
        }
    }
    if new_completed && !completed.is_empty() && text(spec, "completionMode") != "Indexed" {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        fault("completedIndexes", completed, detail.to_owned());
    }
    let Some(failed) = failed else { return };
    if new_failed && !per_index {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        fault("failedIndexes", failed, detail.to_owned());
    }
    if (new_failed || new_completed)
        && let Some(index) =
            completions.and_then(|completions| indexes::overlap(completed, failed, completions))
    {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        fault("failedIndexes", failed, detail);
    }
}

fn success(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, now: State) {
    let path = path.child("conditions");
    if now.success && now.failed {
        bad_without_value(errors, &path, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
    }
    if now.success && now.will_fail {
        let detail = "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions";
        bad_without_value(errors, &path, detail);
    }
    if get(spec, "successPolicy").is_some() && !now.success && now.complete {
        let detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        bad_without_value(errors, &path, detail);
    }
}

/// What doesn't go back.
fn back(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value, change: &Change<'_>) {
    let (now, before) = (change.now, change.before);
    let conditions = path.child("conditions");
    for (kind, was, is) in [
        ("Failed", before.failed, now.failed),
        ("Complete", before.complete, now.complete),
        ("FailureTarget", before.will_fail, now.will_fail),
    ] {
        if was && !is {
            let detail = format!("cannot disable the terminal {kind}=True condition");
            bad_without_value(errors, &conditions, detail);
        }
    }
    // Elastic jobs, whose completions go with their parallelism, may shrink.
    let elastic = text(spec, "completionMode") == "Indexed"
        && int_ptr(spec, "completions") == int_ptr(spec, "parallelism");
    for (key, may_fall) in [("failed", false), ("succeeded", elastic)] {
        let count = int(change.new, key);
        if count < int(change.old, key) && !may_fall {
            let detail = format!("cannot decrease the {key} counter");
            errors.invalid(&path.child(key), &count.into(), detail);
        }
    }
    if let (Some(new), Some(_)) = (get(change.new, "completionTime"), get(change.old, "completionTime"))
        && change.of("completionTime")
    {
        errors.invalid(&path.child("completionTime"), new, "completionTime cannot be mutated");
    }
    if get(change.old, "startTime").is_some() && change.of("startTime") && !flag(spec, "suspend") {
        errors.required(&path.child("startTime"), "startTime cannot be removed for unsuspended job");
    }
    if before.success && !now.success {
        let detail = "cannot disable the SuccessCriteriaMet=True condition";
        check::bad_without_value(errors, &conditions, detail);
    }
    if before.complete && !before.success && now.success {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        check::bad_without_value(errors, &conditions, detail);
    }
}
