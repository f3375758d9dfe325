//! `RuntimeClass` of `node.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::node_labels;
use super::common::walk::{get, list, map, text};
use super::pod::{internal, placement, resources};
use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};
use crate::meta::validate_labels;

/// The kind's rules.
pub struct RuntimeClass;

static INFO: KindInfo = KindInfo {
    group: "node.k8s.io",
    version: "v1",
    kind: "RuntimeClass",
    plural: "runtimeclasses",
    singular: "runtimeclass",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "runtimeclasses",
};

static COLUMNS: &[Column] =
    &[cells::NAME, column("Handler", "string", "The runtime of the class on a node."), cells::AGE];

impl Kind for RuntimeClass {
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
        vec![cells::name(object), text(object, "handler").into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        let key = "handler";
        check::immutable(errors, &Path::new(key), get(new, key), get(old, key), Value::to_string);
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let labels = map(&new["scheduling"], "nodeSelector").keys().filter_map(|key| node_labels::old(key));
        labels.map(|words| format!("scheduling.nodeSelector: {words}")).collect()
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let path = Path::new("handler");
    match text(object, "handler") {
        "" => errors.required(&path, ""),
        handler => check::label(errors, &path, handler),
    }
    if let Some(overhead) = get(object, "overhead") {
        resources::overhead(errors, &Path::new("overhead"), &overhead["podFixed"]);
    }
    let Some(scheduling) = get(object, "scheduling") else { return };
    let path = Path::new("scheduling");
    validate_labels(&scheduling["nodeSelector"], &path.child("nodeSelector"), errors);
    let path = path.child("tolerations");
    placement::tolerations(errors, &path, scheduling);
    let tolerations = list(scheduling, "tolerations");
    for (at, toleration) in tolerations.iter().enumerate() {
        if tolerations[..at].contains(toleration) {
            let shown = internal::json("Toleration", toleration);
            check::push(errors, FieldErrorKind::Duplicate, &path.index(at), Some(shown), "");
        }
    }
}
