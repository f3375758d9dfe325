//! `DaemonSet` of `apps/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{at, default, default_text, ensure, get, int, same, set, text};
use super::common::{check, label_selector, workload};
use super::pod::{internal, spec_defaults, template, warnings};
use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource};

/// Where the count of template changes is shown, which once was a field.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// The kind's rules.
pub struct DaemonSet;

static INFO: KindInfo = KindInfo {
    group: "apps",
    version: "v1",
    kind: "DaemonSet",
    plural: "daemonsets",
    singular: "daemonset",
    short_names: &["ds"],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "DaemonSet",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "daemonsets",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Desired", "integer", "Nodes that should run a pod."),
    column("Current", "integer", "Nodes that run a pod and should."),
    column("Ready", "integer", "Nodes whose pod is ready."),
    column("Up-to-date", "integer", "Nodes whose pod is made from the newest template."),
    column("Available", "integer", "Nodes whose pod has been ready for long enough."),
    column("Node Selector", "string", "Labels of the nodes that should run a pod."),
    cells::AGE,
    cells::CONTAINERS,
    cells::IMAGES,
    cells::SELECTOR,
];

impl Kind for DaemonSet {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        let strategy = ensure(spec, "updateStrategy");
        default_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate" {
            let rolling = ensure(strategy, "rollingUpdate");
            default(rolling, "maxUnavailable", 1);
            default(rolling, "maxSurge", 0);
        }
        default(spec, "revisionHistoryLimit", 10);
        spec_defaults::template(spec, "template");
        default(ensure(ensure(object, "metadata"), "annotations"), TEMPLATE_GENERATION, "0");
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        template::drop_disabled(object, None);
        let given = template_generation(object);
        set_template_generation(object, given.max(1));
    }

    /// The count of template changes is the server's: the client's word about it is not heard.
    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Status {
            return;
        }
        template::drop_disabled(new, Some(old));
        let template = |object: &Value| at(object, &["spec", "template"]).cloned();
        let changed = !same(template(new).as_ref(), template(old).as_ref());
        set_template_generation(new, template_generation(old) + i64::from(changed));
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
        let (new, old) = (get(&new["spec"], "selector"), get(&old["spec"], "selector"));
        check::immutable(errors, &path.child("selector"), new, old, label_selector::json);
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        // Only what counts as another template is looked at again.
        let template = |object: &'_ Value| at(object, &["spec", "template"]).cloned();
        match old {
            Some(old) if same(template(new).as_ref(), template(old).as_ref()) => Vec::new(),
            _ => warnings::of_owner(new, old),
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let pods = at(spec, &["template", "spec"]);
        let [containers, images] = cells::containers(pods);
        vec![
            cells::name(object),
            int(status, "desiredNumberScheduled").into(),
            int(status, "currentNumberScheduled").into(),
            int(status, "numberReady").into(),
            int(status, "updatedNumberScheduled").into(),
            int(status, "numberAvailable").into(),
            cells::labels(pods.and_then(|pods| get(pods, "nodeSelector")).and_then(Value::as_object)),
            cells::age(object, now),
            containers,
            images,
            label_selector::show(get(spec, "selector")).into(),
        ]
    }
}

fn template_generation(object: &Value) -> i64 {
    at(object, &["metadata", "annotations", TEMPLATE_GENERATION])
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn set_template_generation(object: &mut Value, generation: i64) {
    let annotations = ensure(ensure(object, "metadata"), "annotations");
    set(annotations, TEMPLATE_GENERATION, generation.to_string());
}

fn validate_spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    label_selector::validate(get(spec, "selector"), false, &path.child("selector"), errors);
    workload::selects_template(errors, path, spec, None);
    workload::not_empty(errors, path, spec, "daemonset");
    workload::template(errors, path, spec, "DaemonSet");
    check::field_non_negative(errors, spec, path, "minReadySeconds");
    validate_strategy(errors, &path.child("updateStrategy"), &spec["updateStrategy"]);
    check::field_non_negative(errors, spec, path, "revisionHistoryLimit");
}

fn validate_strategy(errors: &mut FieldErrors, path: &Path<'_>, strategy: &Value) {
    match text(strategy, "type") {
        "OnDelete" => {}
        "RollingUpdate" => {
            let path = path.child("rollingUpdate");
            let Some(rolling) = get(strategy, "rollingUpdate") else { return errors.required(&path, "") };
            let (gone, more) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            let (gone_path, more_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
            check::int_or_share(errors, &gone_path, gone);
            check::int_or_share(errors, &more_path, more);
            check::at_most_whole(errors, &gone_path, gone);
            check::at_most_whole(errors, &more_path, more);
            match (check::amount(gone) != 0, check::amount(more) != 0) {
                (true, true) => {
                    errors.invalid(&more_path, more, "may not be set when maxUnavailable is non-zero");
                }
                (false, false) => errors.required(&gone_path, "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
        }
        _ => check::push(
            errors,
            FieldErrorKind::NotSupported,
            path,
            Some(internal::json("DaemonSetUpdateStrategy", strategy)),
            "supported values: \"RollingUpdate\", \"OnDelete\"",
        ),
    }
}

fn validate_status(errors: &mut FieldErrors, path: &Path<'_>, new: &Value, old: &Value) {
    for key in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ] {
        check::field_non_negative(errors, new, path, key);
    }
    check::not_decremented(errors, new, old, path, "collisionCount");
}
