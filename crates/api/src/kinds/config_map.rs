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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, update_faults};

    #[test]
    fn keys_and_sizes_are_checked() {
        assert!(faults(&ConfigMap, json!({"data": {"a.b": "1"}, "binaryData": {"c": "AA=="}})).is_empty());
        assert_eq!(
            faults(&ConfigMap, json!({"data": {"..": "", "a": ""}, "binaryData": {"a": ""}})),
            [
                "data[..]: Invalid value: \"..\": must not be '..'",
                "data[a]: Invalid value: \"a\": duplicate of key present in binaryData",
            ]
        );
        assert_eq!(
            faults(&ConfigMap, json!({"data": {"a": "x".repeat(1024 * 1024 + 1)}})),
            ["[]: Too long: may not be more than 1048576 bytes"]
        );
    }

    #[test]
    fn immutable_means_it() {
        let old = json!({"data": {"a": "1"}, "immutable": true});
        assert_eq!(
            update_faults(&ConfigMap, old, Part::Main, |new| {
                new["data"]["a"] = "2".into();
                new["immutable"] = false.into();
            }),
            [
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ]
        );
    }
}
