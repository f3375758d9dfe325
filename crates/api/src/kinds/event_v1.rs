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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, made, update_faults};

    fn event() -> Value {
        json!({"regarding": {"kind": "Pod", "name": "p", "namespace": "n"}, "note": "m", "action": "A", "reason": "R",
            "type": "Normal", "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "x.io/c",
            "reportingInstance": "c-1", "apiVersion": "events.k8s.io/v1", "kind": "Event"})
    }

    #[test]
    fn forms_convert_into_each_other() {
        let object = made(&EventV1, event());
        let stored = EventV1.to_stored(object.clone());
        assert_eq!(stored["involvedObject"]["name"], "p");
        assert_eq!(stored["message"], "m");
        assert_eq!(stored["apiVersion"], "v1");
        let mut expected = object;
        // What the stored form always writes comes back.
        schema::normalize(INFO.type_id(), &mut expected);
        for (key, value) in EventV1.from_stored(stored).as_object().expect("an object") {
            assert!(expected.get(key) == Some(value) || key.starts_with("deprecated"), "{key}: {value}");
        }
    }

    #[test]
    fn new_events_are_complete_and_stay() {
        assert!(faults(&EventV1, event()).is_empty());
        let mut old = event();
        old["deprecatedCount"] = 2.into();
        assert_eq!(faults(&EventV1, old), ["count: Invalid value: \"\": needs to be unset"]);
        let update = |change: fn(&mut Value)| update_faults(&EventV1, event(), Part::Main, change);
        assert!(
            update(
                |new| new["series"] = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"})
            )
            .is_empty()
        );
        assert_eq!(
            update(|new| new["note"] = "x".into()),
            ["message: Invalid value: \"x\": field is immutable"]
        );
    }
}
