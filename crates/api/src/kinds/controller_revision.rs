//! `ControllerRevision` of `apps/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::walk::{get, int};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};

/// The kind's rules.
pub struct ControllerRevision;

static INFO: KindInfo = KindInfo {
    group: "apps",
    version: "v1",
    kind: "ControllerRevision",
    plural: "controllerrevisions",
    singular: "controllerrevision",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "controllerrevisions",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Controller", "string", "Object whose state this was."),
    column("Revision", "string", "Number of the state."),
    cells::AGE,
];

impl Kind for ControllerRevision {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
        check::immutable(errors, &Path::new("data"), get(new, "data"), get(old, "data"), Value::to_string);
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            cells::name(object),
            cells::controller(object),
            int(object, "revision").into(),
            cells::age(object, now),
        ]
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    if get(object, "data").is_none() {
        errors.required(&Path::new("data"), "data is mandatory");
    }
    check::field_non_negative(errors, object, &Path::ROOT, "revision");
}
