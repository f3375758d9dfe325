//! `Deployment` of `apps/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{at, default, default_text, ensure, get, int, int_ptr, keep, same, set, text};
use super::common::{check, label_selector, workload};
use super::pod::{internal, spec_defaults, template, warnings};
use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, ScalePaths, Scope, Subresource, Unowned};

/// The kind's rules.
pub struct Deployment;

static INFO: KindInfo = KindInfo {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[
        Subresource {
            name: "scale",
            kind: "Scale",
            group: "autoscaling",
            version: "v1",
            verbs: &["get", "patch", "update"],
        },
        Subresource {
            name: "status",
            kind: "Deployment",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
    ],
    store_prefix: "deployments",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Ready", "string", "Pods that are ready, of those wanted."),
    column("Up-to-date", "string", "Pods made from the newest template."),
    column("Available", "string", "Pods that have been ready for long enough."),
    cells::AGE,
    cells::CONTAINERS,
    cells::IMAGES,
    cells::SELECTOR,
];

impl Kind for Deployment {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn unowned(&self, part: Part) -> Unowned {
        match part {
            Part::Status => Unowned::Listed(&[&["spec"], &["metadata", "labels"]]),
            _ => Unowned::Listed(&[&["status"]]),
        }
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        default(spec, "replicas", 1);
        let strategy = ensure(spec, "strategy");
        default_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate" {
            let rolling = ensure(strategy, "rollingUpdate");
            default(rolling, "maxUnavailable", "25%");
            default(rolling, "maxSurge", "25%");
        }
        default(spec, "revisionHistoryLimit", 10);
        default(spec, "progressDeadlineSeconds", 600);
        spec_defaults::template(spec, "template");
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        template::drop_disabled(object, None);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Status {
            let metadata = ensure(new, "metadata");
            keep(metadata, &old["metadata"], "labels");
            return;
        }
        template::drop_disabled(new, Some(old));
        // Annotations hold the change cause, and upstream counts them as a change of what is wanted.
        let annotations = |object: &Value| at(object, &["metadata", "annotations"]).cloned();
        if !same(annotations(new).as_ref(), annotations(old).as_ref()) {
            let next = at(old, &["metadata", "generation"]).and_then(Value::as_i64).unwrap_or(0) + 1;
            set(ensure(new, "metadata"), "generation", next);
        }
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate_spec(errors, &Path::new("spec"), &object["spec"]);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            return validate_status(errors, &Path::new("status"), &new["status"], &old["status"]);
        }
        let path = Path::new("spec");
        validate_spec(errors, &path, &new["spec"]);
        let selector = |object: &'_ Value| get(&object["spec"], "selector").cloned();
        check::immutable(
            errors,
            &path.child("selector"),
            selector(new).as_ref(),
            selector(old).as_ref(),
            label_selector::json,
        );
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        warnings::of_owner(new, old)
    }

    fn scale(&self) -> Option<ScalePaths> {
        Some(ScalePaths::Workload { selector: "/spec/selector", selector_is_map: false })
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let [containers, images] = cells::containers(at(spec, &["template", "spec"]));
        vec![
            cells::name(object),
            format!("{}/{}", int(status, "readyReplicas"), int(spec, "replicas")).into(),
            int(status, "updatedReplicas").into(),
            int(status, "availableReplicas").into(),
            cells::age(object, now),
            containers,
            images,
            label_selector::show(get(spec, "selector")).into(),
        ]
    }
}

fn validate_spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    check::field_non_negative(errors, spec, path, "replicas");
    workload::selector(errors, path, spec, "deployment");
    if workload::selects_template(errors, path, spec, Some("invalid label selector")) {
        workload::template(errors, path, spec, "ReplicaSet");
    }
    validate_strategy(errors, &path.child("strategy"), &spec["strategy"]);
    check::field_non_negative(errors, spec, path, "minReadySeconds");
    check::field_non_negative(errors, spec, path, "revisionHistoryLimit");
    if let Some(deadline) = int_ptr(spec, "progressDeadlineSeconds") {
        let path = path.child("progressDeadlineSeconds");
        check::non_negative(errors, &path, deadline);
        if deadline <= int(spec, "minReadySeconds") {
            errors.invalid(&path, &deadline.into(), "must be greater than minReadySeconds");
        }
    }
}

fn validate_strategy(errors: &mut FieldErrors, path: &Path<'_>, strategy: &Value) {
    let rolling = get(strategy, "rollingUpdate");
    match text(strategy, "type") {
        "Recreate" if rolling.is_some() => errors.forbidden(
            &path.child("rollingUpdate"),
            "may not be specified when strategy `type` is 'Recreate'",
        ),
        "Recreate" => {}
        "RollingUpdate" => {
            let path = path.child("rollingUpdate");
            let Some(rolling) = rolling else {
                return errors.required(&path, "this should be defaulted and never be nil");
            };
            let (gone, more) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            check::int_or_share(errors, &path.child("maxUnavailable"), gone);
            check::int_or_share(errors, &path.child("maxSurge"), more);
            if check::amount(gone) == 0 && check::amount(more) == 0 {
                errors.invalid(&path.child("maxUnavailable"), gone, "may not be 0 when `maxSurge` is 0");
            }
            check::at_most_whole(errors, &path.child("maxUnavailable"), gone);
        }
        _ => check::push(
            errors,
            FieldErrorKind::NotSupported,
            path,
            Some(internal::json("DeploymentStrategy", strategy)),
            "supported values: \"Recreate\", \"RollingUpdate\"",
        ),
    }
}

fn validate_status(errors: &mut FieldErrors, path: &Path<'_>, new: &Value, old: &Value) {
    for key in [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ] {
        check::field_non_negative(errors, new, path, key);
    }
    let parts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    workload::at_most(errors, path, new, &parts, "replicas", "cannot be greater than status.replicas");
    let detail = "cannot be greater than readyReplicas";
    workload::at_most(errors, path, new, &["availableReplicas"], "readyReplicas", detail);
    check::not_decremented(errors, new, old, path, "collisionCount");
}
