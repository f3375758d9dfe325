//! `CSINode` of `storage.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::csi;
use super::common::walk::{get, int_ptr, list, remove, same, text, texts};
use super::pod::internal;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};

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

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), list(&object["spec"], "drivers").len().into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
        let path = Path::new("spec.drivers");
        for was in list(&old["spec"], "drivers") {
            for driver in list(&new["spec"], "drivers") {
                if text(driver, "name") == text(was, "name") && !same_driver(driver, was) {
                    // How many volumes a node can have may change, and isn't shown (KEP-4876).
                    let mut shown = driver.clone();
                    remove(&mut shown, "allocatable");
                    let shown = internal::json("CSINodeDriver", &shown);
                    errors.invalid_shown(&path, shown, "field is immutable");
                }
            }
        }
    }
}

/// Longest id of a node, in bytes.
const NODE_ID_BYTES_MAX: usize = 192;

/// Whether nothing but the number of volumes differs (KEP-4876).
fn same_driver(new: &Value, old: &Value) -> bool {
    ["name", "nodeID", "topologyKeys"].iter().all(|key| same(get(new, key), get(old, key)))
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let root = Path::new("spec");
    let root = root.child("drivers");
    let drivers = list(&object["spec"], "drivers");
    for (at, driver) in drivers.iter().enumerate() {
        let path = root.index(at);
        let name = text(driver, "name");
        csi::driver_name(errors, &path.child("name"), name);
        match text(driver, "nodeID") {
            "" => errors.required(&path.child("nodeID"), ""),
            id if id.len() > NODE_ID_BYTES_MAX => {
                let detail = format!("must be {NODE_ID_BYTES_MAX} characters or less");
                errors.invalid(&path.child("nodeID"), &id.into(), detail);
            }
            _ => {}
        }
        if let Some(count) = get(driver, "allocatable").and_then(|known| int_ptr(known, "count")) {
            check::non_negative(errors, &path.child("allocatable").child("count"), count);
        }
        if drivers[..at].iter().any(|earlier| text(earlier, "name") == name) {
            errors.duplicate(&path.child("name"), &name.into());
        }
        let keys: Vec<&str> = texts(driver, "topologyKeys").collect();
        for (at, key) in keys.iter().enumerate() {
            if key.is_empty() {
                errors.required(&path, "");
            }
            if keys[..at].contains(key) {
                errors.duplicate(&path, &(*key).into());
            }
            check::qualified(errors, &path, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, update_faults};

    #[test]
    fn drivers_are_named_once_and_stay() {
        let node = |drivers: Value| json!({"spec": {"drivers": drivers}});
        for (drivers, expected) in [
            (
                json!([{"name": "a.x", "nodeID": "", "topologyKeys": ["k", "k"]}, {"name": "a.x", "nodeID": "n", "allocatable": {"count": -1}}]),
                vec![
                    "spec.drivers[0].nodeID: Required value",
                    "spec.drivers[0]: Duplicate value: \"k\"",
                    "spec.drivers[1].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
                    "spec.drivers[1].name: Duplicate value: \"a.x\"",
                ],
            ),
            (json!([{"name": "a.x", "nodeID": "n", "topologyKeys": ["k"]}]), vec![]),
        ] {
            assert_eq!(faults(&CSINode, node(drivers.clone())), expected, "{drivers}");
        }
        let moved = update_faults(
            &CSINode,
            node(json!([{"name": "a.x", "nodeID": "n", "topologyKeys": ["k"]}])),
            Part::Main,
            |new| {
                new["spec"]["drivers"] = json!([{"name": "a.x", "nodeID": "m", "topologyKeys": ["k"], "allocatable": {"count": 3}}]);
            },
        );
        assert_eq!(
            moved,
            [
                r#"spec.drivers: Invalid value: {"Name":"a.x","NodeID":"m","TopologyKeys":["k"],"Allocatable":null}: field is immutable"#
            ]
        );
    }
}
