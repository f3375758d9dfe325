//! What volumes and claims share.

use serde_json::{Value, json};

use super::check::one_of;
use super::walk::{default, default_text, get, get_mut, remove, set, text, texts};
use crate::field::{FieldErrors, Path};

/// Access modes in short, in upstream's order.
const MODES: [(&str, &str); 4] = [
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
];

/// The access modes as a table shows them: `RWO,RWX`.
pub fn access_modes(holder: &Value) -> String {
    let has = |mode: &str| texts(holder, "accessModes").any(|each| each == mode);
    let shown: Vec<&str> = MODES.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect();
    shown.join(",")
}

/// What may stand among the access modes, in the order of messages.
const KNOWN_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Checks the access modes: all are known, and one of them stands alone.
pub fn check_modes(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let modes = || texts(spec, "accessModes");
    for mode in modes() {
        one_of(errors, path, mode, KNOWN_MODES);
    }
    let alone = "ReadWriteOncePod";
    if modes().any(|mode| mode == alone) && modes().any(|mode| mode != alone && KNOWN_MODES.contains(&mode)) {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

/// Where the class was before it had a field.
pub const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// The warning for the old annotation.
pub fn old_annotation(object: &Value) -> Option<String> {
    get(&object["metadata"]["annotations"], CLASS_ANNOTATION)?;
    let words = "deprecated since v1.8; use \"storageClassName\" attribute instead";
    Some(format!("metadata.annotations[{CLASS_ANNOTATION}]: {words}"))
}

/// The class, by the old annotation or the field.
pub fn class(object: &Value) -> &str {
    let annotation = get(&object["metadata"]["annotations"], CLASS_ANNOTATION);
    annotation.and_then(Value::as_str).unwrap_or_else(|| text(&object["spec"], "storageClassName"))
}

/// The phase, or `Terminating`.
pub fn phase(object: &Value) -> &str {
    match get(&object["metadata"], "deletionTimestamp") {
        Some(_) => "Terminating",
        None => text(&object["status"], "phase"),
    }
}

/// Defaults of the spec of a claim.
pub fn default_claim(spec: &mut Value) {
    default(spec, "volumeMode", "Filesystem");
}

/// Defaults of where a volume comes from.
pub fn default_source(spec: &mut Value) {
    if let Some(path) = get_mut(spec, "hostPath") {
        default(path, "type", "");
    }
    if let Some(iscsi) = get_mut(spec, "iscsi") {
        default_text(iscsi, "iscsiInterface", "default");
    }
    if let Some(rbd) = get_mut(spec, "rbd") {
        default_text(rbd, "pool", "rbd");
        default_text(rbd, "user", "admin");
        default_text(rbd, "keyring", "/etc/ceph/keyring");
    }
    if let Some(disk) = get_mut(spec, "azureDisk") {
        default(disk, "cachingMode", "ReadWrite");
        default(disk, "kind", "Shared");
        default(disk, "fsType", "ext4");
        default(disk, "readOnly", false);
    }
    if let Some(scale) = get_mut(spec, "scaleIO") {
        default_text(scale, "storageMode", "ThinProvisioned");
        default_text(scale, "fsType", "xfs");
    }
}

/// Whether the older field for sources can name it.
fn is_claim_or_snapshot(source: &Value) -> bool {
    match text(source, "kind") {
        "PersistentVolumeClaim" => text(source, "apiGroup").is_empty(),
        "VolumeSnapshot" => text(source, "apiGroup") == "snapshot.storage.k8s.io",
        _ => false,
    }
}

/// Of the two fields for the source of a claim's data, each fills in the other. A claim that had no source gets none
/// from another namespace (the feature gate of KEP-3294 is closed), and none by the older field that this one could
/// never name.
pub fn settle_sources(spec: &mut Value, old: Option<&Value>) {
    let had = |key: &str| old.is_some_and(|old| get(old, key).is_some());
    if !text(&spec["dataSourceRef"], "namespace").is_empty() && !had("dataSourceRef") {
        remove(spec, "dataSourceRef");
    }
    let older_alone = get(spec, "dataSourceRef").is_none() && !had("dataSource") && !had("dataSourceRef");
    if older_alone && get(spec, "dataSource").is_some_and(|source| !is_claim_or_snapshot(source)) {
        remove(spec, "dataSource");
    }
    if !text(&spec["dataSourceRef"], "namespace").is_empty() {
        return;
    }
    let (source, reference) = (get(spec, "dataSource").cloned(), get(spec, "dataSourceRef").cloned());
    match (source, reference) {
        (Some(source), None) => set(spec, "dataSourceRef", source),
        (None, Some(reference)) => {
            let mut source = json!({});
            for key in ["apiGroup", "kind", "name"] {
                if let Some(value) = get(&reference, key) {
                    set(&mut source, key, value.clone());
                }
            }
            set(spec, "dataSource", source);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_short_and_in_order() {
        assert_eq!(access_modes(&json!({"accessModes": ["ReadWriteMany", "ReadWriteOnce"]})), "RWO,RWX");
    }

    #[test]
    fn sources_fill_in_each_other() {
        let claim = json!({"kind": "PersistentVolumeClaim", "name": "c"});
        let mut spec = json!({"dataSource": claim});
        settle_sources(&mut spec, None);
        assert_eq!(spec["dataSourceRef"], claim);
        let mut other = json!({"dataSourceRef": {"apiGroup": "x.io", "kind": "Thing", "name": "t"}});
        settle_sources(&mut other, None);
        assert_eq!(other["dataSource"], other["dataSourceRef"]);
        let mut far =
            json!({"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "c", "namespace": "n"}});
        settle_sources(&mut far, None);
        assert_eq!(far, json!({}));
        // Where both are given, validation compares them.
        let thing = json!({"apiGroup": "x.io", "kind": "Thing", "name": "t"});
        let mut both = json!({"dataSource": thing, "dataSourceRef": claim});
        settle_sources(&mut both, None);
        assert_eq!(both, json!({"dataSource": thing, "dataSourceRef": claim}));
        let mut alone = json!({"dataSource": thing});
        settle_sources(&mut alone, Some(&json!({})));
        assert_eq!(alone, json!({}));
    }
}
