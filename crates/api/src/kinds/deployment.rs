//! `Deployment` of `apps/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::label_selector;
use super::common::walk::{at, default, default_text, ensure, get, int, same, set, text};
use super::pod::{spec_defaults, template};
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

    fn scale(&self) -> Option<ScalePaths> {
        Some(ScalePaths { selector: "/spec/selector", selector_is_map: false })
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
