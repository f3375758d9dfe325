//! `ReplicaSet` of `apps/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{at, default, ensure, get, int};
use super::common::{check, label_selector, workload};
use super::pod::{spec_defaults, template, warnings};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, ScalePaths, Scope, Subresource};

/// The kind's rules.
pub struct ReplicaSet;

static INFO: KindInfo = KindInfo {
    group: "apps",
    version: "v1",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
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
            kind: "ReplicaSet",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
    ],
    store_prefix: "replicasets",
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

impl Kind for ReplicaSet {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        default(spec, "replicas", 1);
        spec_defaults::template(spec, "template");
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

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            return validate_status(errors, &Path::new("status"), &new["status"]);
        }
        let path = Path::new("spec");
        validate_spec(errors, &path, &new["spec"]);
        let (new, old) = (get(&new["spec"], "selector"), get(&old["spec"], "selector"));
        check::immutable(errors, &path.child("selector"), new, old, label_selector::json);
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
            int(spec, "replicas").into(),
            int(status, "replicas").into(),
            int(status, "readyReplicas").into(),
            cells::age(object, now),
            containers,
            images,
            label_selector::show(get(spec, "selector")).into(),
        ]
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("status.replicas", int(&object["status"], "replicas").to_string())]
    }
}

fn validate_spec(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    check::field_non_negative(errors, spec, path, "replicas");
    check::field_non_negative(errors, spec, path, "minReadySeconds");
    workload::selector(errors, path, spec, "deployment");
    if workload::selects_template(errors, path, spec, Some("invalid label selector")) {
        workload::template(errors, path, spec, "ReplicaSet");
    }
}

/// Counters of a ReplicaSet or ReplicationController.
pub(super) fn validate_status(errors: &mut FieldErrors, path: &Path<'_>, status: &Value) {
    for key in [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "terminatingReplicas",
        "observedGeneration",
    ] {
        check::field_non_negative(errors, status, path, key);
    }
    let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    workload::at_most(errors, path, status, &parts, "replicas", "cannot be greater than status.replicas");
    let detail = "cannot be greater than readyReplicas";
    workload::at_most(errors, path, status, &["availableReplicas"], "readyReplicas", detail);
}
