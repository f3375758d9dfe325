//! `Event` of `v1`.

pub(super) mod validate;

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column, wide};
use super::common::walk::{get, int, text};
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, NameRule, Part, Scope, age};

/// The kind's rules.
pub struct Event;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "events",
};

static COLUMNS: &[Column] = &[
    column("Last Seen", "string", "When it happened last."),
    column("Type", "string", "Normal or Warning."),
    column("Reason", "string", "Why, in a word."),
    column("Object", "string", "What it happened to."),
    wide("Subobject", "string", "Which part of it."),
    wide("Source", "string", "Who says so."),
    column("Message", "string", "What happened."),
    wide("First Seen", "string", "When it happened first."),
    wide("Count", "string", "How often it happened."),
    Column { name: "Name", kind: "string", format: "name", description: "Name of the event.", priority: 1 },
];

impl Kind for Event {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let since = |key: &str| get(object, key).map(|time| age(time, now));
        let unknown = || Value::from("<unknown>");
        let first = since("firstTimestamp").or_else(|| since("eventTime")).unwrap_or_else(unknown);
        let (last, count) = match get(object, "series") {
            Some(series) => {
                let last = get(series, "lastObservedTime").map_or_else(unknown, |time| age(time, now));
                (last, int(series, "count"))
            }
            None => (since("lastTimestamp").unwrap_or_else(|| first.clone()), int(object, "count").max(1)),
        };
        let about = &object["involvedObject"];
        let mut target = text(about, "kind").to_lowercase();
        if !text(about, "name").is_empty() {
            target.push('/');
            target.push_str(text(about, "name"));
        }
        vec![
            last,
            text(object, "type").into(),
            text(object, "reason").into(),
            target.into(),
            text(about, "fieldPath").into(),
            source(object).into(),
            text(object, "message").trim().into(),
            first,
            count.into(),
            cells::name(object),
        ]
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        let about = &object["involvedObject"];
        let reporter = text(object, "reportingComponent");
        let component = match text(&object["source"], "component") {
            "" => reporter,
            component => component,
        };
        [
            ("involvedObject.kind", text(about, "kind")),
            ("involvedObject.namespace", text(about, "namespace")),
            ("involvedObject.name", text(about, "name")),
            ("involvedObject.uid", text(about, "uid")),
            ("involvedObject.apiVersion", text(about, "apiVersion")),
            ("involvedObject.resourceVersion", text(about, "resourceVersion")),
            ("involvedObject.fieldPath", text(about, "fieldPath")),
            ("reason", text(object, "reason")),
            ("reportingComponent", reporter),
            ("source", component),
            ("type", text(object, "type")),
        ]
        .map(|(field, value)| (field, value.to_owned()))
        .to_vec()
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn checks_metadata(&self) -> bool {
        true
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::common(object, "reportingComponent", errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate::common(new, "reportingComponent", errors);
    }
}

/// Component and host, or else the controller and its instance.
fn source(object: &Value) -> String {
    let either = |key: &str, other: &str| match text(&object["source"], key) {
        "" => text(object, other).to_owned(),
        word => word.to_owned(),
    };
    let (component, instance) =
        (either("component", "reportingComponent"), either("host", "reportingInstance"));
    if instance.is_empty() { component } else { format!("{component}, {instance}") }
}
