//! `ConfigMap` of `v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::config_data;
use super::common::walk::map;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};
use crate::meta::names;

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

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        config_data::keep_immutable(new, old, &["data", "binaryData"], errors);
        validate(new, errors);
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let (data, binary) = (map(object, "data"), map(object, "binaryData"));
    let mut bytes = config_data::bytes(binary);
    for (name, values) in [("data", data), ("binaryData", binary)] {
        let path = Path::new(name);
        for (key, value) in values {
            check::messages(errors, &path.key(key), key, names::config_key(key));
            if name == "data" {
                if binary.contains_key(key) {
                    let detail = "duplicate of key present in binaryData";
                    errors.invalid(&path.key(key), &key.as_str().into(), detail);
                }
                bytes += value.as_str().map_or(0, str::len);
            }
        }
    }
    if bytes > config_data::BYTES_MAX {
        // Upstream's message names no field.
        errors.too_long(&Path::ROOT.key(""), config_data::BYTES_MAX);
    }
}
