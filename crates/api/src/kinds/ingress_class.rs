//! `IngressClass` of `networking.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::walk::{default, get, get_mut, text, text_ptr};
use super::common::{domain_path, typed_reference};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};

/// The kind's rules.
pub struct IngressClass;

static INFO: KindInfo = KindInfo {
    group: "networking.k8s.io",
    version: "v1",
    kind: "IngressClass",
    plural: "ingressclasses",
    singular: "ingressclass",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "ingressclasses",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Controller", "string", "Who serves ingresses of the class."),
    column("Parameters", "string", "What configures the controller."),
    cells::AGE,
];

impl Kind for IngressClass {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        if let Some(parameters) = get_mut(object, "spec").and_then(|spec| get_mut(spec, "parameters")) {
            default(parameters, "scope", "Cluster");
        }
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let parameters = get(spec, "parameters").map_or(cells::NONE.to_owned(), |parameters| {
            let group = get(parameters, "apiGroup").and_then(Value::as_str);
            let group = group.map_or(String::new(), |group| format!(".{group}"));
            format!("{}{group}/{}", text(parameters, "kind"), text(parameters, "name"))
        });
        vec![cells::name(object), text(spec, "controller").into(), parameters.into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        let path = Path::new("spec");
        let (now, was) = (get(&new["spec"], "controller"), get(&old["spec"], "controller"));
        check::immutable(errors, &path.child("controller"), now, was, Value::to_string);
        validate(new, errors);
    }
}

/// Longest name of a controller, in bytes.
const CONTROLLER_BYTES_MAX: usize = 250;

fn validate(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    let controller = text(spec, "controller");
    let place = path.child("controller");
    if controller.len() > CONTROLLER_BYTES_MAX {
        errors.too_long(&place, CONTROLLER_BYTES_MAX);
    }
    domain_path::check(errors, &place, controller);
    let Some(parameters) = get(spec, "parameters") else { return };
    let path = path.child("parameters");
    typed_reference::check(errors, &path, parameters);
    let Some(scope) = text_ptr(parameters, "scope") else {
        return errors.required(&path.child("scope"), "");
    };
    check::one_of(errors, &path.child("scope"), scope, &["Cluster", "Namespace"]);
    match (scope, text_ptr(parameters, "namespace")) {
        ("Namespace", None) => {
            errors.required(&path.child("namespace"), "`parameters.scope` is set to 'Namespace'");
        }
        ("Namespace", Some(namespace)) => check::label(errors, &path.child("namespace"), namespace),
        ("Cluster", Some(_)) => {
            errors.forbidden(&path.child("namespace"), "`parameters.scope` is set to 'Cluster'");
        }
        _ => {}
    }
}
