//! `CSIDriver` of `storage.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column};
use super::common::walk::{default, ensure, flag, list, set, text, texts};
use crate::kind::{Column, Kind, KindInfo, Scope};

/// The kind's rules.
pub struct CSIDriver;

static INFO: KindInfo = KindInfo {
    group: "storage.k8s.io",
    version: "v1",
    kind: "CSIDriver",
    plural: "csidrivers",
    singular: "csidriver",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "csidrivers",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("AttachRequired", "boolean", "Whether volumes must be attached first."),
    column("PodInfoOnMount", "boolean", "Whether mounting needs facts of the pod."),
    column("StorageCapacity", "boolean", "Whether capacity is reported."),
    column("TokenRequests", "string", "Audiences of the tokens it needs."),
    column("RequiresRepublish", "boolean", "Whether volumes are published again and again."),
    column("Modes", "string", "Life cycles of volumes it offers."),
    cells::AGE,
];

impl Kind for CSIDriver {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        default(spec, "attachRequired", true);
        default(spec, "podInfoOnMount", false);
        default(spec, "storageCapacity", false);
        default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        default(spec, "requiresRepublish", false);
        default(spec, "seLinuxMount", false);
        if list(spec, "volumeLifecycleModes").is_empty() {
            set(spec, "volumeLifecycleModes", json!(["Persistent"]));
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let audiences: Vec<&str> =
            list(spec, "tokenRequests").iter().map(|each| text(each, "audience")).collect();
        let audiences = if audiences.is_empty() { "<unset>".to_owned() } else { audiences.join(",") };
        let modes: Vec<&str> = texts(spec, "volumeLifecycleModes").collect();
        vec![
            cells::name(object),
            flag(spec, "attachRequired").into(),
            flag(spec, "podInfoOnMount").into(),
            flag(spec, "storageCapacity").into(),
            audiences.into(),
            flag(spec, "requiresRepublish").into(),
            modes.join(",").into(),
            cells::age(object, now),
        ]
    }
}
