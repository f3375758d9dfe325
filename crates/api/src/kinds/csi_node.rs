//! `CSINode` of `storage.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::list;
use crate::kind::{Column, Kind, KindInfo, Scope};

/// The kind's rules.
pub struct CSINode;

static INFO: KindInfo = KindInfo {
    group: "storage.k8s.io",
    version: "v1",
    kind: "CSINode",
    plural: "csinodes",
    singular: "csinode",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "csinodes",
};

static COLUMNS: &[Column] =
    &[cells::NAME, column("Drivers", "integer", "Number of drivers on the node."), cells::AGE];

impl Kind for CSINode {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), list(&object["spec"], "drivers").len().into(), cells::age(object, now)]
    }
}
