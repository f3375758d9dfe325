//! `Job` of `batch/v1`.

pub(super) mod checks;
mod indexes;
mod policies;
mod status;

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column, time};
use super::common::label_selector;
use super::common::walk::{
    at, default, default_text, ensure, flag, get, get_mut, int, int_ptr, list, list_mut, map, map_of, set,
    text,
};
use super::pod::{spec_defaults, template, warnings};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource};

/// Labels of a job's pods, with and without upstream's prefix.
const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// The kind's rules.
pub struct Job;

static INFO: KindInfo = KindInfo {
    group: "batch",
    version: "v1",
    kind: "Job",
    plural: "jobs",
    singular: "job",
    short_names: &[],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "Job",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "jobs",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Status", "string", "What the job is doing."),
    column("Completions", "string", "Pods that succeeded, of those wanted."),
    column("Duration", "string", "How long the job ran, or has run so far."),
    cells::AGE,
    cells::CONTAINERS,
    cells::IMAGES,
    cells::SELECTOR,
];

impl Kind for Job {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        // A new job gets the labels that its template is about to have: see [`generate_selector`].
        if flag(&object["spec"], "manualSelector") || at(object, &["spec", "selector"]).is_some() {
            label_like_template(object);
        }
        defaults(ensure(object, "spec"));
        default(ensure(object, "spec"), "manualSelector", false);
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        template::drop_disabled(object, None);
        // Upstream's defaults let job and template share one map of labels.
        let shares = !map(&object["spec"]["template"]["metadata"], "labels").is_empty();
        if !flag(&object["spec"], "manualSelector") {
            generate_selector(object);
        }
        if shares {
            label_like_template(object);
        }
    }

    fn default_when_read(&self, object: &mut Value) {
        // By then the template has the labels that were generated.
        label_like_template(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Status {
            return;
        }
        template::drop_disabled(new, Some(old));
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        checks::job(errors, object);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            status::validate(errors, new, old);
        } else {
            checks::update(errors, new, old);
        }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        if old.is_none() {
            warnings::bad_host_name(&mut found, new, "Pod names and hostnames");
        }
        if old.is_none_or(|old| old["spec"] != new["spec"]) {
            spec_warnings(&mut found, &Path::new("spec"), &new["spec"]);
        }
        found
    }

    fn default_propagation(&self) -> &'static str {
        "Orphan"
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let [containers, images] = cells::containers(at(spec, &["template", "spec"]));
        let succeeded = int(status, "succeeded");
        let completions = match (int_ptr(spec, "completions"), int(spec, "parallelism")) {
            (Some(wanted), _) => format!("{succeeded}/{wanted}"),
            (None, parallelism @ 2..) => format!("{succeeded}/1 of {parallelism}"),
            (None, _) => format!("{succeeded}/1"),
        };
        let duration = time(get(status, "startTime"))
            .map(|start| cells::span(start, time(get(status, "completionTime")).unwrap_or(now)));
        vec![
            cells::name(object),
            state(object).into(),
            completions.into(),
            duration.unwrap_or_default().into(),
            cells::age(object, now),
            containers,
            images,
            label_selector::show(get(spec, "selector")).into(),
        ]
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("status.successful", int(&object["status"], "succeeded").to_string())]
    }

    fn unknown_field_text(&self, field: &str) -> String {
        format!("field label {field:?} not supported for batchv1.Job")
    }
}

/// A job without labels has those of its template.
fn label_like_template(object: &mut Value) {
    let labels = map(&object["spec"]["template"]["metadata"], "labels");
    if !labels.is_empty() && map(&object["metadata"], "labels").is_empty() {
        let labels = labels.clone();
        set(ensure(object, "metadata"), "labels", labels);
    }
}

/// Defaults of a job's spec.
fn defaults(spec: &mut Value) {
    // A job with neither is done when one pod has succeeded; with parallelism alone it is a work queue.
    if get(spec, "completions").is_none() && get(spec, "parallelism").is_none() {
        set(spec, "completions", 1);
        set(spec, "parallelism", 1);
    }
    default(spec, "parallelism", 1);
    if get(spec, "backoffLimit").is_none() {
        let unlimited = get(spec, "backoffLimitPerIndex").is_some();
        set(spec, "backoffLimit", if unlimited { i64::from(i32::MAX) } else { 6 });
    }
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    let has_policy = get(spec, "podFailurePolicy").is_some();
    default(spec, "podReplacementPolicy", if has_policy { "Failed" } else { "TerminatingOrFailed" });
    condition_defaults(spec);
    spec_defaults::template(spec, "template");
}

/// A failure policy's pattern means a condition that is true, unless it says otherwise.
pub(super) fn condition_defaults(spec: &mut Value) {
    let Some(policy) = get_mut(spec, "podFailurePolicy") else { return };
    for rule in list_mut(policy, "rules") {
        for pattern in list_mut(rule, "onPodConditions") {
            default_text(pattern, "status", "True");
        }
    }
}

/// The job's own uid tells its pods apart from those of others.
fn generate_selector(object: &mut Value) {
    let own = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    let (uid, name) = (own("uid"), own("name"));
    let spec = ensure(object, "spec");
    let labels = map_of(ensure(ensure(ensure(spec, "template"), "metadata"), "labels"));
    for (keys, value) in [(NAME_LABELS, &name), (UID_LABELS, &uid)] {
        for key in keys {
            labels.entry(key).or_insert_with(|| value.as_str().into());
        }
    }
    let selector = map_of(ensure(ensure(spec, "selector"), "matchLabels"));
    selector.entry(UID_LABELS[0]).or_insert_with(|| uid.into());
}

fn state(object: &Value) -> &'static str {
    let is_true = |kind: &str| is_true(&object["status"], kind);
    if is_true("Complete") {
        "Complete"
    } else if is_true("Failed") {
        "Failed"
    } else if at(object, &["metadata", "deletionTimestamp"]).is_some() {
        "Terminating"
    } else if is_true("Suspended") {
        "Suspended"
    } else if is_true("FailureTarget") {
        "FailureTarget"
    } else if is_true("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

/// Warnings for a job's spec, wherever it stands.
pub(super) fn spec_warnings(found: &mut Vec<String>, path: &Path<'_>, spec: &Value) {
    let many = int(spec, "completions") > 100_000 && int(spec, "parallelism") > 10_000;
    if many && text(spec, "completionMode") == "Indexed" {
        found.push(format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than \
             10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        ));
    }
    warnings::of_template(found, &path.child("template"), &spec["template"]);
}

/// Whether a condition of a status holds.
fn is_true(status: &Value, kind: &str) -> bool {
    list(status, "conditions").iter().any(|each| text(each, "type") == kind && text(each, "status") == "True")
}
