//! `ReplicationController` of `v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{at, default, ensure, get, get_mut, int, map, set};
use super::common::{check, workload};
use super::pod::{spec_defaults, template, warnings};
use super::replica_set;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, ScalePaths, Scope, Subresource};

/// The kind's rules.
pub struct ReplicationController;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "ReplicationController",
    plural: "replicationcontrollers",
    singular: "replicationcontroller",
    short_names: &["rc"],
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
            kind: "ReplicationController",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
    ],
    store_prefix: "controllers",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Desired", "integer", "Pods wanted."),
    column("Current", "integer", "Pods there are."),
    column("Ready", "integer", "Pods that are ready."),
    cells::AGE,
    cells::CONTAINERS,
    cells::IMAGES,
    cells::SELECTOR,
];

impl Kind for ReplicationController {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        let labels = at(object, &["spec", "template", "metadata", "labels"])
            .filter(|labels| labels.as_object().is_some_and(|labels| !labels.is_empty()))
            .cloned();
        if let Some(labels) = labels {
            if map(&object["spec"], "selector").is_empty() {
                set(ensure(object, "spec"), "selector", labels.clone());
            }
            if at(object, &["metadata", "labels"])
                .is_none_or(|own| own.as_object().is_none_or(|own| own.is_empty()))
            {
                set(ensure(object, "metadata"), "labels", labels);
            }
        }
        let spec = ensure(object, "spec");
        default(spec, "replicas", 1);
        if get_mut(spec, "template").is_some() {
            spec_defaults::template(spec, "template");
        }
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        template::drop_disabled(object, None);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part != Part::Status {
            template::drop_disabled(new, Some(old));
        }
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate_spec(errors, &Path::new("spec"), &object["spec"]);
    }

    fn validate_update(&self, new: &Value, _old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            replica_set::validate_status(errors, &Path::new("status"), &new["status"]);
        } else {
            validate_spec(errors, &Path::new("spec"), &new["spec"]);
        }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        warnings::of_owner(new, old)
    }

    fn default_propagation(&self) -> &'static str {
        "Orphan"
    }

    fn scale(&self) -> Option<ScalePaths> {
        Some(ScalePaths::Workload { selector: "/spec/selector", selector_is_map: true })
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (&object["spec"], &object["status"]);
        let [containers, images] = cells::containers(at(spec, &["template", "spec"]));
        vec![
            cells::name(object),
            int(spec, "replicas").into(),
            int(status, "replicas").into(),
            int(status, "readyReplicas").into(),
            cells::age(object, now),
            containers,
            images,
            cells::labels(get(spec, "selector").and_then(Value::as_object)),
        ]
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("status.replicas", int(&object["status"], "replicas").to_string())]
    }
}

fn validate_spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    check::field_non_negative(errors, spec, path, "minReadySeconds");
    let selector = map(spec, "selector");
    if selector.is_empty() {
        errors.required(&path.child("selector"), "");
    }
    check::field_non_negative(errors, spec, path, "replicas");
    let Some(template) = get(spec, "template") else {
        return errors.required(&path.child("template"), "");
    };
    let labels = at(template, &["metadata", "labels"]).unwrap_or(&Value::Null);
    if selector.iter().any(|(key, value)| labels.get(key) != Some(value)) {
        workload::mismatch(errors, path, labels);
    }
    workload::template(errors, path, spec, "ReplicationController");
}
