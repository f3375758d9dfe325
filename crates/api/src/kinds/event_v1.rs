//! `Event` of `events.k8s.io/v1`.

use super::event::Event;
use jiff::Timestamp;
use serde_json::Value;

use super::common::walk::{set, text};
use super::event::validate;
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, Part, Scope};
use crate::{meta, schema};

/// The kind's rules.
pub struct EventV1;

static INFO: KindInfo = KindInfo {
    group: "events.k8s.io",
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

/// Fields that have other names in the stored form: here, there.
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

impl Kind for EventV1 {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn stored_as(&self) -> Option<&'static dyn Kind> {
        Some(&Event)
    }

    fn to_stored(&self, object: Value) -> Value {
        converted(object, &Event, |name| {
            NAMES.iter().find(|(here, _)| *here == name).map(|(_, there)| *there)
        })
    }

    fn from_stored(&self, object: Value) -> Value {
        converted(object, self, |name| NAMES.iter().find(|(_, there)| *there == name).map(|(here, _)| *here))
    }

    fn stored_field(&self, field: &str) -> String {
        if field == "reportingController" {
            return "reportingComponent".to_owned();
        }
        match field.strip_prefix("regarding.") {
            Some(rest) => format!("involvedObject.{rest}"),
            None => field.to_owned(),
        }
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn columns(&self) -> &'static [Column] {
        Event.columns()
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        Event.row(&self.to_stored(object.clone()), now)
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        let about = &object["regarding"];
        [
            ("regarding.kind", text(about, "kind")),
            ("regarding.namespace", text(about, "namespace")),
            ("regarding.name", text(about, "name")),
            ("regarding.uid", text(about, "uid")),
            ("regarding.apiVersion", text(about, "apiVersion")),
            ("regarding.resourceVersion", text(about, "resourceVersion")),
            ("regarding.fieldPath", text(about, "fieldPath")),
            ("reason", text(object, "reason")),
            ("reportingController", text(object, "reportingController")),
            ("type", text(object, "type")),
        ]
        .map(|(field, value)| (field, value.to_owned()))
        .to_vec()
    }

    fn checks_metadata(&self) -> bool {
        true
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        let stored = self.to_stored(object.clone());
        validate::common(&stored, "reportingController", errors);
        meta::validate_create(&stored, &INFO, self.name_rule(), errors);
        validate::newer(&stored, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        let (new, old) = (self.to_stored(new.clone()), self.to_stored(old.clone()));
        validate::common(&new, "reportingController", errors);
        validate::update(&new, &old, errors);
    }
}

/// The other form, in normal form: the two leave out different things.
fn converted(object: Value, to: &dyn Kind, rename: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(fields) = object else { return object };
    let renamed = fields.into_iter().map(|(name, value)| match rename(&name) {
        Some(other) => (other.to_owned(), value),
        None => (name, value),
    });
    let mut converted = Value::Object(renamed.collect());
    set(&mut converted, "apiVersion", to.info().api_version());
    schema::normalize(to.info().type_id(), &mut converted);
    converted
}
