//! `CSIStorageCapacity` of `storage.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{get, text};
use super::common::{check, label_selector};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};
use crate::meta::names;
use crate::quantity::Quantity;

/// The kind's rules.
pub struct CSIStorageCapacity;

static INFO: KindInfo = KindInfo {
    group: "storage.k8s.io",
    version: "v1",
    kind: "CSIStorageCapacity",
    plural: "csistoragecapacities",
    singular: "csistoragecapacity",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "csistoragecapacities",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("StorageClassName", "string", "The class that the capacity is for."),
    column("Capacity", "string", "What is left for volumes."),
];

impl Kind for CSIStorageCapacity {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), text(object, "storageClassName").into(), text(object, "capacity").into()]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
        let key = "nodeTopology";
        check::immutable(errors, &Path::new(key), get(new, key), get(old, key), label_selector::json);
        let key = "storageClassName";
        check::immutable(errors, &Path::new(key), get(new, key), get(old, key), Value::to_string);
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    label_selector::validate(get(object, "nodeTopology"), false, &Path::new("nodeTopology"), errors);
    let class = text(object, "storageClassName");
    check::messages(errors, &Path::new("storageClassName"), class, names::dns1123_subdomain(class));
    for key in ["capacity", "maximumVolumeSize"] {
        let quantity =
            get(object, key).and_then(Value::as_str).and_then(|text| text.parse::<Quantity>().ok());
        if let Some(quantity) = quantity.filter(|quantity| quantity.sign() < 0) {
            check::bad_text(
                errors,
                &Path::new(key),
                &quantity.to_string(),
                "must be greater than or equal to 0",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, update_faults};

    #[test]
    fn what_a_capacity_is_of_stays() {
        let capacity =
            json!({"storageClassName": "sc", "capacity": "1Gi", "nodeTopology": {"matchLabels": {"a": "b"}}});
        assert!(faults(&CSIStorageCapacity, capacity.clone()).is_empty());
        let change = |new: &mut Value| {
            new["storageClassName"] = "other".into();
            new["nodeTopology"]["matchLabels"]["a"] = "c".into();
            new["capacity"] = "-1Gi".into();
        };
        assert_eq!(
            update_faults(&CSIStorageCapacity, capacity, Part::Main, change),
            [
                "capacity: Invalid value: \"-1Gi\": must be greater than or equal to 0",
                "nodeTopology: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable",
                "storageClassName: Invalid value: \"other\": field is immutable",
            ]
        );
    }
}
