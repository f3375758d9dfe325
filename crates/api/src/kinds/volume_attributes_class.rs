//! `VolumeAttributesClass` of `storage.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::provisioner;
use super::common::walk::{get, map, same, text};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};

/// The kind's rules.
pub struct VolumeAttributesClass;

static INFO: KindInfo = KindInfo {
    group: "storage.k8s.io",
    version: "v1",
    kind: "VolumeAttributesClass",
    plural: "volumeattributesclasses",
    singular: "volumeattributesclass",
    short_names: &["vac"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "volumeattributesclasses",
};

static COLUMNS: &[Column] =
    &[cells::NAME, column("DriverName", "string", "Who changes volumes of the class."), cells::AGE];

impl Kind for VolumeAttributesClass {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), text(object, "driverName").into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        provisioner::name(errors, &Path::new("driverName"), text(object, "driverName"));
        let path = Path::new("parameters");
        if map(object, "parameters").is_empty() {
            errors.required(&path, "must contain at least one key/value pair");
        }
        provisioner::parameters(errors, &path, map(object, "parameters"));
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        for key in ["driverName", "parameters"] {
            if !same(get(new, key), get(old, key)) {
                errors.forbidden(&Path::new(key), format!("updates to {key} are forbidden."));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, update_faults};

    #[test]
    fn classes_have_parameters_that_stay() {
        let class = json!({"driverName": "d.example.com", "parameters": {"iops": "1"}});
        assert!(faults(&VolumeAttributesClass, class.clone()).is_empty());
        assert_eq!(
            faults(&VolumeAttributesClass, json!({})),
            [
                "driverName: Required value",
                "parameters: Required value: must contain at least one key/value pair"
            ]
        );
        let change = |new: &mut Value| {
            new["driverName"] = "e".into();
            new["parameters"]["iops"] = "2".into();
        };
        assert_eq!(
            update_faults(&VolumeAttributesClass, class, Part::Main, change),
            [
                "driverName: Forbidden: updates to driverName are forbidden.",
                "parameters: Forbidden: updates to parameters are forbidden.",
            ]
        );
    }
}
