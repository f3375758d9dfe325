//! `PriorityClass` of `scheduling.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{default, flag, int, text};
use crate::kind::{Column, Kind, KindInfo, Scope};

/// The kind's rules.
pub struct PriorityClass;

static INFO: KindInfo = KindInfo {
    group: "scheduling.k8s.io",
    version: "v1",
    kind: "PriorityClass",
    plural: "priorityclasses",
    singular: "priorityclass",
    short_names: &["pc"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "priorityclasses",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Value", "integer", "The priority."),
    column("Global-Default", "boolean", "Whether pods without a class get it."),
    cells::AGE,
    column("PreemptionPolicy", "string", "Whether pods of the class preempt others."),
];

impl Kind for PriorityClass {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        default(object, "preemptionPolicy", "PreemptLowerPriority");
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            cells::name(object),
            int(object, "value").into(),
            flag(object, "globalDefault").into(),
            cells::age(object, now),
            text(object, "preemptionPolicy").into(),
        ]
    }
}
