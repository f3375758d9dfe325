//! `IngressClass` of `networking.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{default, get, get_mut, text};
use crate::kind::{Column, Kind, KindInfo, Scope};

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
}
