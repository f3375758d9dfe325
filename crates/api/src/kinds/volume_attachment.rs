//! `VolumeAttachment` of `storage.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::csi;
use super::common::walk::{ensure, flag, get, keep, remove, set, text, text_ptr};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource, Unowned};
use crate::meta::names;

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

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        false
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

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
        csi::driver_name(errors, &Path::new("spec.attacher"), text(&object["spec"], "attacher"));
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part != Part::Status {
            return;
        }
        // Of the metadata a status write changes the owners of fields alone.
        let managed = get(&new["metadata"], "managedFields").cloned();
        let version = get(&new["metadata"], "resourceVersion").cloned();
        keep(new, old, "metadata");
        for (key, value) in [("managedFields", managed), ("resourceVersion", version)] {
            match value {
                Some(value) => set(ensure(new, "metadata"), key, value),
                None => drop(remove(ensure(new, "metadata"), key)),
            }
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
        let (now, was) = (&new["spec"], &old["spec"]);
        check::immutable(errors, &Path::new("spec"), Some(now), Some(was), Value::to_string);
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    check::required(errors, &path.child("attacher"), text(spec, "attacher"));
    if !text(spec, "attacher").is_empty() {
        let attacher = text(spec, "attacher");
        check::messages(
            errors,
            &path.child("attacher"),
            attacher,
            names::qualified_name(&attacher.to_lowercase()),
        );
    }
    let source = path.child("source");
    let (inline, name) =
        (get(&spec["source"], "inlineVolumeSpec"), text_ptr(&spec["source"], "persistentVolumeName"));
    match (inline, name) {
        (None, None) => {
            errors.required(&source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
        }
        (Some(_), Some(_)) => {
            errors
                .forbidden(&source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
        }
        (None, Some("")) => {
            errors.required(
                &source.child("persistentVolumeName"),
                "must specify non empty persistentVolumeName",
            );
        }
        _ => {}
    }
    match text(spec, "nodeName") {
        "" => errors.required(&path.child("nodeName"), ""),
        node => check::subdomain(errors, &path.child("nodeName"), node),
    }
}
