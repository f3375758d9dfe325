//! `VolumeAttachment` of `storage.k8s.io/v1`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

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

impl Kind for VolumeAttachment {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
