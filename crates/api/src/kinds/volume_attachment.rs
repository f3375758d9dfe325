//! `VolumeAttachment` of `storage.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{flag, text};
use crate::kind::{Column, Kind, KindInfo, Part, Scope, Subresource, Unowned};

/// The kind's rules.
pub struct VolumeAttachment;

static INFO: KindInfo = KindInfo {
    group: "storage.k8s.io",
    version: "v1",
    kind: "VolumeAttachment",
    plural: "volumeattachments",
    singular: "volumeattachment",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "VolumeAttachment",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "volumeattachments",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Attacher", "string", "The driver that attaches."),
    column("PV", "string", "The volume."),
    column("Node", "string", "The node it is attached to."),
    column("Attached", "boolean", "Whether it is attached."),
    cells::AGE,
];

impl Kind for VolumeAttachment {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn unowned(&self, part: Part) -> Unowned {
        match part {
            Part::Status => Unowned::Listed(&[&["metadata"], &["spec"]]),
            _ => Unowned::Listed(&[&["status"]]),
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        vec![
            cells::name(object),
            text(spec, "attacher").into(),
            text(&spec["source"], "persistentVolumeName").into(),
            text(spec, "nodeName").into(),
            flag(&object["status"], "attached").into(),
            cells::age(object, now),
        ]
    }
}
