//! `FlowSchema` of `flowcontrol.apiserver.k8s.io/v1`.
//! Source: <https://kubernetes.io/docs/concepts/cluster-administration/flow-control/>, KEP-1040.

mod validate;

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{default_int, ensure, int, list, text};
use super::common::{flow_control, status_write};
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Unowned};

/// The kind's rules.
pub struct FlowSchema;

static INFO: KindInfo = KindInfo {
    group: "flowcontrol.apiserver.k8s.io",
    version: "v1",
    kind: "FlowSchema",
    plural: "flowschemas",
    singular: "flowschema",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[flow_control::status("FlowSchema")],
    store_prefix: "flowschemas",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("PriorityLevel", "string", "The level of what it matches."),
    column("MatchingPrecedence", "string", "The schema with the lowest number counts."),
    column("DistinguisherMethod", "string", "What the flows of one schema are told apart by."),
    cells::AGE,
    column("MissingPL", "string", "Whether there is no such level."),
];

/// Where a schema doesn't say.
const MATCHING_PRECEDENCE: i64 = 1000;

impl Kind for FlowSchema {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        default_int(ensure(object, "spec"), "matchingPrecedence", MATCHING_PRECEDENCE);
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Status {
            status_write::keep_metadata(new, old);
        }
    }

    fn unowned(&self, part: Part) -> Unowned {
        flow_control::unowned(part)
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::spec(errors, object);
        flow_control::conditions(errors, &object["status"]);
    }

    fn validate_update(&self, new: &Value, _old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Main {
            validate::spec(errors, new);
        }
        flow_control::conditions(errors, &new["status"]);
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let method = text(&spec["distinguisherMethod"], "type");
        let conditions = list(&object["status"], "conditions");
        let dangling = conditions.iter().find(|condition| text(condition, "type") == "Dangling");
        vec![
            cells::name(object),
            text(&spec["priorityLevelConfiguration"], "name").into(),
            int(spec, "matchingPrecedence").into(),
            if method.is_empty() { cells::NONE } else { method }.into(),
            cells::age(object, now),
            dangling.map_or("?", |condition| text(condition, "status")).into(),
        ]
    }

    /// In the order in which requests are matched.
    fn compare_rows(&self, a: &Value, b: &Value) -> Ordering {
        let precedence = |object: &Value| int(&object["spec"], "matchingPrecedence");
        let name = |object: &Value| text(&object["metadata"], "name").to_owned();
        precedence(a).cmp(&precedence(b)).then_with(|| name(a).cmp(&name(b)))
    }
}
