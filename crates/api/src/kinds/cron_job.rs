//! `CronJob` of `batch/v1`.

mod checks;

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, NONE, column, time};
use super::common::label_selector;
use super::common::walk::{at, default, default_text, ensure, flag_ptr, get, get_mut, list, text, text_ptr};
use super::job;
use super::pod::{spec_defaults, warnings};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource};

/// Names of jobs are the cron job's and a time of eleven characters.
const NAME_BYTES_MAX: usize = 52;

/// The kind's rules.
pub struct CronJob;

static INFO: KindInfo = KindInfo {
    group: "batch",
    version: "v1",
    kind: "CronJob",
    plural: "cronjobs",
    singular: "cronjob",
    short_names: &["cj"],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "CronJob",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "cronjobs",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Schedule", "string", "When jobs are made, in the form of cron."),
    column("Timezone", "string", "Time zone of the schedule."),
    column("Suspend", "boolean", "Whether no more jobs are made."),
    column("Active", "integer", "Jobs that run."),
    column("Last Schedule", "string", "Time since a job was last made."),
    cells::AGE,
    cells::CONTAINERS,
    cells::IMAGES,
    cells::SELECTOR,
];

impl Kind for CronJob {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        default_text(spec, "concurrencyPolicy", "Allow");
        default(spec, "suspend", false);
        default(spec, "successfulJobsHistoryLimit", 3);
        default(spec, "failedJobsHistoryLimit", 1);
        let template = ensure(spec, "jobTemplate");
        ensure(template, "metadata");
        // A job's own defaults are filled in when the job is made; the pods' defaults are there from the start.
        spec_defaults::template(ensure(template, "spec"), "template");
        job::condition_defaults(ensure(template, "spec"));
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        drop_disabled(object, None);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part != Part::Status {
            drop_disabled(new, Some(old));
        }
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        checks::spec(errors, &Path::new("spec"), &object["spec"], None);
        let name = text(&object["metadata"], "name");
        if name.len() > NAME_BYTES_MAX {
            let path = Path::new("metadata");
            errors.invalid(&path.child("name"), &name.into(), "must be no more than 52 characters");
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part != Part::Status {
            checks::spec(errors, &Path::new("spec"), &new["spec"], Some(&old["spec"]));
        }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        if old.is_none() {
            warnings::bad_host_name(&mut found, new, "Pod names and hostnames");
        }
        if old.is_none_or(|old| old["spec"] != new["spec"]) {
            let path = Path::new("spec");
            let path = path.child("jobTemplate.spec");
            job::spec_warnings(&mut found, &path, &new["spec"]["jobTemplate"]["spec"]);
        }
        found
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let [containers, images] = cells::containers(at(spec, &POD_SPEC[1..]));
        let suspend = match flag_ptr(spec, "suspend") {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        let last = time(get(status, "lastScheduleTime")).map(|last| cells::span(last, now));
        vec![
            cells::name(object),
            text(spec, "schedule").into(),
            text_ptr(spec, "timeZone").unwrap_or(NONE).into(),
            suspend.into(),
            list(status, "active").len().into(),
            last.unwrap_or_else(|| NONE.to_owned()).into(),
            cells::age(object, now),
            containers,
            images,
            label_selector::show(at(spec, &["jobTemplate", "spec", "selector"])).into(),
        ]
    }
}

/// From the object to the spec of its jobs' pods.
const POD_SPEC: [&str; 5] = ["spec", "jobTemplate", "spec", "template", "spec"];

fn drop_disabled(object: &mut Value, old: Option<&Value>) {
    let spec = POD_SPEC.iter().try_fold(object, |value, key| get_mut(value, key));
    if let Some(spec) = spec {
        spec_defaults::drop_disabled(spec, old.and_then(|old| at(old, &POD_SPEC)));
    }
}
