//! `PodDisruptionBudget` of `policy/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{ensure, get, int};
use crate::kind::{Column, Kind, KindInfo, NameRule, Scope, Subresource};

/// The kind's rules.
pub struct PodDisruptionBudget;

static INFO: KindInfo = KindInfo {
    group: "policy",
    version: "v1",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "PodDisruptionBudget",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "poddisruptionbudgets",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Min Available", "string", "Pods that must stay, as a number or a share."),
    column("Max Unavailable", "string", "Pods that may be gone, as a number or a share."),
    column("Allowed Disruptions", "integer", "Pods that may be evicted now."),
    cells::AGE,
];

impl Kind for PodDisruptionBudget {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn set_defaults(&self, object: &mut Value) {
        ensure(object, "spec");
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let amount = |key: &str| -> Value {
            match get(spec, key) {
                Some(Value::String(share)) => share.as_str().into(),
                Some(number) => number.to_string().into(),
                None => "N/A".into(),
            }
        };
        vec![
            cells::name(object),
            amount("minAvailable"),
            amount("maxUnavailable"),
            int(&object["status"], "disruptionsAllowed").into(),
            cells::age(object, now),
        ]
    }
}
