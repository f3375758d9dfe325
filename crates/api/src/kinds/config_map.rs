//! `ConfigMap` of `v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::map;
use crate::kind::{Column, Kind, KindInfo, Scope};

/// The kind's rules.
pub struct ConfigMap;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "configmaps",
};

static COLUMNS: &[Column] = &[cells::NAME, column("Data", "string", "Number of keys."), cells::AGE];

impl Kind for ConfigMap {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            cells::name(object),
            (map(object, "data").len() + map(object, "binaryData").len()).into(),
            cells::age(object, now),
        ]
    }
}
