//! `RuntimeClass` of `node.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::text;
use crate::kind::{Column, Kind, KindInfo, Scope};

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

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), text(object, "handler").into(), cells::age(object, now)]
    }
}
