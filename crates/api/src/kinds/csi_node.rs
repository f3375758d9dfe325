//! `CSINode` of `storage.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::csi;
use super::common::walk::{get, int_ptr, list, same, text, texts};
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
        let root = Path::new("spec");
        let root = root.child("drivers");
        let known = list(&old["spec"], "drivers");
        for (at, driver) in list(&new["spec"], "drivers").iter().enumerate() {
            let was = known.iter().find(|known| text(known, "name") == text(driver, "name"));
            if let Some(was) = was
                && !same_driver(driver, was)
            {
                errors.invalid(&root.index(at), driver, "field is immutable");
            }
        }
        validate(new, errors);
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
        let keys: Vec<&str> = texts(driver, "topologyKeys").collect();
        for (at, key) in keys.iter().enumerate() {
            let path = path.child("topologyKeys");
            if key.is_empty() {
                errors.required(&path, "");
            }
            if keys[..at].contains(key) {
                errors.duplicate(&path, &(*key).into());
            }
            check::qualified(errors, &path, key);
        }
        if drivers[..at].iter().any(|earlier| text(earlier, "name") == name) {
            errors.duplicate(&path.child("name"), &name.into());
        }
    }
}
