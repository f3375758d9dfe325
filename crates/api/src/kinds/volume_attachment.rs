//! `VolumeAttachment` of `storage.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{flag, get, int_ptr, map, text, text_ptr};
use super::common::{check, csi, status_write};
use super::persistent_volume::validate as volume;
use super::pod::internal;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource, Unowned};

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
        let spec = &object["spec"];
        csi::driver_name(errors, &Path::new("spec.attacher"), text(spec, "attacher"));
        if let Some(name) = text_ptr(&spec["source"], "persistentVolumeName") {
            check::subdomain(errors, &Path::new("spec.source.persistentVolumeName"), name);
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Status {
            status_write::keep_metadata(new, old);
        }
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
        let (now, was) = (&new["spec"], &old["spec"]);
        let show = |spec: &Value| internal::json("VolumeAttachmentSpec", spec);
        check::immutable(errors, &Path::new("spec"), Some(now), Some(was), show);
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    check::required(errors, &path.child("attacher"), text(spec, "attacher"));
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
        (None, Some(_)) => {}
        (Some(inline), None) => volume::inline(inline, &source.child("inlineVolumeSpec"), errors),
    }
    check::subdomain(errors, &path.child("nodeName"), text(spec, "nodeName"));
    let path = Path::new("status");
    let status = &object["status"];
    let metadata = map(status, "attachmentMetadata");
    let bytes: usize =
        metadata.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > METADATA_BYTES_MAX {
        errors.too_long(&path.child("attachmentMetadata"), METADATA_BYTES_MAX);
    }
    for key in ["attachError", "detachError"] {
        let path = path.child(key);
        if text(&status[key], "message").len() > MESSAGE_BYTES_MAX {
            // Upstream names the limit of the metadata.
            errors.too_long(&path.child("message"), METADATA_BYTES_MAX);
        }
        if let Some(code @ ..0) = int_ptr(&status[key], "errorCode") {
            let detail = format!("must be between 0 and {}, inclusive", i32::MAX);
            errors.invalid(&path.child("errorCode"), &code.into(), detail);
        }
    }
}

/// What a driver may say of an attachment, keys and values.
const METADATA_BYTES_MAX: usize = 256 * 1024;
/// Longest message of an error.
const MESSAGE_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, update_faults};

    fn attachment(spec: Value) -> Value {
        let mut all = json!({"attacher": "a.x.io", "nodeName": "n", "source": {"persistentVolumeName": "v"}});
        for (key, value) in spec.as_object().expect("an object") {
            all[key] = value.clone();
        }
        json!({"spec": all})
    }

    #[test]
    fn an_attachment_names_who_what_and_where() {
        let name = "a lowercase RFC 1123 subdomain";
        for (spec, expected) in [
            (json!({}), vec![]),
            (json!({"attacher": ""}), vec!["spec.attacher: Required value", "spec.attacher: Required value"]),
            (json!({"nodeName": ""}), vec!["spec.nodeName: Invalid value: \"\": "]),
            (
                json!({"source": {"persistentVolumeName": "A"}}),
                vec!["spec.source.persistentVolumeName: Invalid value: \"A\": "],
            ),
            (
                json!({"source": {}}),
                vec![
                    "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
                ],
            ),
            (
                json!({"source": {"inlineVolumeSpec": {"capacity": {"storage": "1"}, "hostPath": {"path": "/a"},
                    "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "c", "volumeMode": "Block"}}}),
                vec![
                    "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
                    "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
                    "spec.source.inlineVolumeSpec.accessModes: Required value",
                    "spec.source.inlineVolumeSpec.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes",
                    "spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline volumes",
                    "spec.source.inlineVolumeSpec.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline volumes",
                ],
            ),
        ] {
            let found: Vec<String> = faults(&VolumeAttachment, attachment(spec.clone()))
                .into_iter()
                .map(|text| text.split(name).next().unwrap_or_default().to_owned())
                .collect();
            assert_eq!(found, expected, "{spec}");
        }
        assert_eq!(
            update_faults(
                &VolumeAttachment,
                attachment(json!({})),
                Part::Main,
                |new| new["spec"]["nodeName"] = "m".into()
            ),
            [
                r#"spec: Invalid value: {"Attacher":"a.x.io","Source":{"PersistentVolumeName":"v","InlineVolumeSpec":null},"NodeName":"m"}: field is immutable"#
            ]
        );
    }

    #[test]
    fn what_drivers_say_is_bounded() {
        let found = update_faults(&VolumeAttachment, attachment(json!({})), Part::Status, |new| {
            new["status"] = json!({"attached": false, "attachmentMetadata": {"k": "x".repeat(METADATA_BYTES_MAX)},
                "detachError": {"message": "x".repeat(MESSAGE_BYTES_MAX + 1), "errorCode": -1}});
        });
        assert_eq!(
            found,
            [
                "status.attachmentMetadata: Too long: may not be more than 262144 bytes",
                "status.detachError.message: Too long: may not be more than 262144 bytes",
                "status.detachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ]
        );
    }
}
