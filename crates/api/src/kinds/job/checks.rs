//! What a job may say.

use serde_json::{Map, Value};

use super::{NAME_LABELS, UID_LABELS, policies};
use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::kinds::common::check::{self, field_non_negative};
use crate::kinds::common::walk::{
    at, flag, get, get_mut, int, int_ptr, keep, list_mut, same, set, text, text_ptr,
};
use crate::kinds::common::{domain_path, label_selector, workload};
use crate::kinds::pod::{internal, template};
use crate::meta::names;
use crate::selector::LabelSelector;

const NOTHING: Value = Value::Null;
const PARALLELISM_MAX: i64 = 100_000;
const FAILED_INDEXES_MAX: i64 = 100_000;
/// Above so many completions, limits per index are not for everybody.
const MANY_COMPLETIONS: i64 = 100_000;
const MANY_COMPLETIONS_LIMIT: i64 = 10_000;
const MANAGED_BY_BYTES_MAX: usize = 63;

/// A job, new or changed.
pub fn job(errors: &mut FieldErrors, job: &Value) {
    let path = Path::new("spec");
    let spec = &job["spec"];
    generated_selector(errors, &path, job);
    full_spec(errors, &path, spec);
    let completions = int(spec, "completions");
    if text(spec, "completionMode") == "Indexed" && completions > 0 {
        // The last pod has the longest host name.
        let name = text(&job["metadata"], "name");
        let last = format!("{name}-{}", completions - 1);
        if !names::dns1123_label(&last).is_empty() {
            let path = Path::new("metadata");
            let detail = format!("will not able to create pod with invalid DNS label: {last}");
            errors.invalid(&path.child("name"), &name.into(), detail);
        }
    }
}

/// A selector that is the server's: the template bears the job's uid and name.
fn generated_selector(errors: &mut FieldErrors, path: &Path<'_>, job: &Value) {
    let spec = &job["spec"];
    if flag(spec, "manualSelector") {
        return;
    }
    let Some(selector) = get(spec, "selector") else {
        return;
    };
    let metadata = &job["metadata"];
    let (uid, name) = (text(metadata, "uid"), text(metadata, "name"));
    let labels = at(spec, &["template", "metadata", "labels"]).unwrap_or(&NOTHING);
    let path_of_labels = path.child("template.metadata.labels");
    // The old names first, as upstream has it.
    for which in [1, 0] {
        for (keys, expected) in [(UID_LABELS, uid), (NAME_LABELS, name)] {
            let path = path_of_labels.key(keys[which]);
            match get(labels, keys[which]).and_then(Value::as_str) {
                Some(found) if found == expected => {}
                Some(_) => errors.invalid(&path, labels, format!("must be '{expected}'")),
                None => errors.required(&path, format!("must be '{expected}'")),
            }
        }
    }
    let mut expected = Map::new();
    for (keys, value) in [(UID_LABELS, uid), (NAME_LABELS, name)] {
        expected.extend(keys.map(|key| (key.to_owned(), value.into())));
    }
    if LabelSelector::of_object(selector).is_ok_and(|selector| !selector.matches(&expected)) {
        let shown = label_selector::json(selector);
        errors.invalid_shown(&path.child("selector"), shown, "`selector` not auto-generated");
    }
}

/// The spec of a job that is there, with its selector.
fn full_spec(errors: &mut FieldErrors, path: &Path<'_>, full: &Value) {
    spec(errors, path, full);
    match get(full, "selector") {
        None => errors.required(&path.child("selector"), ""),
        selector => label_selector::validate(selector, false, &path.child("selector"), errors),
    }
    workload::selects_template(errors, path, full, None);
}

/// The spec of a job, or of a cron job's jobs; it may lack a selector.
pub fn spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    for key in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        field_non_negative(errors, spec, path, key);
    }
    if get(spec, "maxFailedIndexes").is_some() && get(spec, "backoffLimitPerIndex").is_none() {
        errors.required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    if let Some(keeper) = text_ptr(spec, "managedBy") {
        let path = path.child("managedBy");
        domain_path::check(errors, &path, keeper);
        if keeper.len() > MANAGED_BY_BYTES_MAX {
            errors.too_long(&path, MANAGED_BY_BYTES_MAX);
        }
    }
    match text_ptr(spec, "completionMode") {
        Some("Indexed") => indexed(errors, path, spec),
        mode => {
            if let Some(mode) = mode {
                check::one_of(errors, &path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
            }
            if mode.is_none_or(|mode| mode == "NonIndexed") {
                for key in ["backoffLimitPerIndex", "maxFailedIndexes"] {
                    if let Some(value) = get(spec, key) {
                        errors.invalid(&path.child(key), value, "requires indexed completion mode");
                    }
                }
            }
        }
    }
    if get(spec, "podFailurePolicy").is_some() {
        policies::failure(errors, &path.child("podFailurePolicy"), spec);
    }
    if let Some(policy) = get(spec, "successPolicy") {
        let path = path.child("successPolicy");
        if text(spec, "completionMode") == "Indexed" {
            policies::success(errors, &path, spec);
        } else {
            let shown = internal::json("SuccessPolicy", policy);
            errors.invalid_shown(&path, shown, "requires indexed completion mode");
        }
    }
    pods(errors, path, spec);
}

/// What the job does about its pods.
fn pods(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let judged = get(spec, "podFailurePolicy").is_some();
    if let Some(policy) = text_ptr(spec, "podReplacementPolicy") {
        let words: &[&str] = if judged { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        check::one_of(errors, &path.child("podReplacementPolicy"), policy, words);
    }
    template::validate(errors, &path.child("template"), get(spec, "template").unwrap_or(&NOTHING));
    let path = path.child("template.spec.restartPolicy");
    match at(spec, &["template", "spec", "restartPolicy"]).and_then(Value::as_str).unwrap_or_default() {
        "" | "Always" => errors.required(&path, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if judged => errors.invalid(
            &path,
            &"OnFailure".into(),
            "only \"Never\" is supported when podFailurePolicy is specified",
        ),
        policy => check::one_of(errors, &path, policy, &["OnFailure", "Never"]),
    }
}

fn indexed(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let completions = int_ptr(spec, "completions");
    let (parallelism, failed) = (int(spec, "parallelism"), int(spec, "maxFailedIndexes"));
    if completions.is_none() {
        errors.required(&path.child("completions"), "when completion mode is Indexed");
    }
    let mut too_many = |key: &str, number: i64, detail: String| {
        check::push(errors, FieldErrorKind::Invalid, &path.child(key), Some(number.to_string()), detail);
    };
    let at_most = |limit: i64| format!("must be less than or equal to {limit}");
    if parallelism > PARALLELISM_MAX {
        let detail = at_most(PARALLELISM_MAX) + " when completion mode is Indexed";
        too_many("parallelism", parallelism, detail);
    }
    if completions.is_some_and(|completions| failed > completions) {
        too_many("maxFailedIndexes", failed, "must be less than or equal to completions".to_owned());
    }
    if failed > FAILED_INDEXES_MAX {
        too_many("maxFailedIndexes", failed, at_most(FAILED_INDEXES_MAX));
    }
    let many = completions.is_some_and(|completions| completions > MANY_COMPLETIONS);
    if !many || get(spec, "backoffLimitPerIndex").is_none() {
        return;
    }
    let detail = at_most(MANY_COMPLETIONS_LIMIT)
        + &format!(" when completions are above {MANY_COMPLETIONS} and used with backoff limit per index");
    if get(spec, "maxFailedIndexes").is_none() {
        let detail = format!("must be specified when completions is above {MANY_COMPLETIONS}");
        errors.required(&path.child("maxFailedIndexes"), detail);
    }
    for (key, number) in [("parallelism", parallelism), ("maxFailedIndexes", failed)] {
        if number > MANY_COMPLETIONS_LIMIT {
            errors.invalid(&path.child(key), &number.into(), detail.as_str());
        }
    }
}

/// A change of the spec.
pub fn update(errors: &mut FieldErrors, new_job: &Value, old_job: &Value) {
    job(errors, new_job);
    let path = Path::new("spec");
    let (new, old) = (&new_job["spec"], &old_job["spec"]);
    full_spec(errors, &path, new);
    let fixed = |errors: &mut FieldErrors, key: &str, show: &dyn Fn(&Value) -> String| {
        check::immutable(errors, &path.child(key), get(new, key), get(old, key), show);
    };
    if text(new, "completionMode") != "Indexed" {
        fixed(errors, "completions", &Value::to_string);
    } else if let Some(completions) = int_ptr(new, "completions")
        && int_ptr(old, "completions") != Some(completions)
        && completions != int(new, "parallelism")
    {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.invalid(&path.child("completions"), &completions.into(), detail);
    }
    fixed(errors, "selector", &label_selector::json);
    template_update(errors, &path.child("template"), new, old, may_move(old_job));
    fixed(errors, "completionMode", &Value::to_string);
    fixed(errors, "podFailurePolicy", &|policy| internal::json("PodFailurePolicy", policy));
    fixed(errors, "backoffLimitPerIndex", &Value::to_string);
    fixed(errors, "managedBy", &Value::to_string);
    fixed(errors, "successPolicy", &|policy| internal::json("SuccessPolicy", policy));
}

/// Whether no pods of the job are there, and none are made: it may still be told where they should run.
fn may_move(old_job: &Value) -> bool {
    let status = &old_job["status"];
    let suspended = super::is_true(status, "Suspended") && int(status, "active") == 0;
    flag(&old_job["spec"], "suspend") && (get(status, "startTime").is_none() || suspended)
}

/// The template stays, but for what decides where pods run, and for what they ask for, while there are none.
fn template_update(errors: &mut FieldErrors, path: &Path<'_>, new: &Value, old: &Value, may_move: bool) {
    let (new, old) = (get(new, "template").unwrap_or(&NOTHING), get(old, "template").unwrap_or(&NOTHING));
    if same(Some(new), Some(old)) {
        return;
    }
    if !may_move {
        return errors.invalid_shown(path, internal::json("PodTemplateSpec", new), "field is immutable");
    }
    let (new, mut old) = (get(new, "spec").unwrap_or(&NOTHING), old["spec"].clone());
    for key in ["nodeSelector", "tolerations", "schedulingGates"] {
        keep(&mut old, new, key);
    }
    node_affinity(new, &mut old);
    for key in ["containers", "initContainers"] {
        for (index, container) in list_mut(&mut old, key).iter_mut().enumerate() {
            if let Some(other) = new[key].get(index) {
                keep(container, other, "resources");
            }
        }
    }
    if !same(Some(new), Some(&old)) {
        errors.invalid_shown(&path.child("spec"), internal::json("PodSpec", new), "field is immutable");
    }
}

/// Lets the affinity to nodes be what it is now.
fn node_affinity(new: &Value, old: &mut Value) {
    let wanted = at(new, &["affinity", "nodeAffinity"]).cloned();
    if get(new, "affinity").is_some() && get(old, "affinity").is_none() {
        set(old, "affinity", Map::new());
    }
    let Some(affinity) = get_mut(old, "affinity").and_then(Value::as_object_mut) else { return };
    match wanted {
        Some(wanted) => affinity.insert("nodeAffinity".to_owned(), wanted),
        None => affinity.remove("nodeAffinity"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use crate::kinds::common::testing::faults;
    use crate::kinds::job::Job;
    use serde_json::json;

    fn job_of(change: Value) -> Value {
        let mut spec = json!({"template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "c", "image": "i"}]}}});
        for (key, value) in change.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        json!({"spec": spec})
    }

    #[test]
    fn faults_come_in_upstreams_order() {
        let many = json!({"completionMode": "Indexed", "completions": 100_001, "parallelism": 10_001,
            "backoffLimitPerIndex": 1});
        let limit = "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index";
        assert_eq!(
            faults(&Job, job_of(many.clone())),
            [
                "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000"
                    .to_owned(),
                format!("spec.parallelism: Invalid value: 10001: {limit}"),
            ]
        );
        let mut with_limit = many;
        with_limit["maxFailedIndexes"] = 20_000.into();
        assert_eq!(
            faults(&Job, job_of(with_limit)),
            [
                format!("spec.parallelism: Invalid value: 10001: {limit}"),
                format!("spec.maxFailedIndexes: Invalid value: 20000: {limit}"),
            ]
        );
        let codes = json!({"podFailurePolicy": {"rules": [
            {"action": "Ignore", "onExitCodes": {"operator": "In", "values": []}}]}});
        assert_eq!(
            faults(&Job, job_of(codes)),
            [
                "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: []: at least one value is required"
            ]
        );
    }

    #[test]
    fn huge_indexed_jobs_are_warned_of() {
        let job = job_of(json!({"completionMode": "Indexed", "completions": 100_001, "parallelism": 10_001}));
        let mut job = job;
        job["metadata"] = json!({"name": "j"});
        let found = Job.warnings(&job, None);
        assert!(
            found.len() == 1 && found[0].starts_with("spec: In Indexed Jobs with a number of"),
            "{found:?}"
        );
    }
}
