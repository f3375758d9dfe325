//! Where volumes say more about a source of old than pods do, or in other words.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::walk::{get, text, text_ptr};
use crate::kinds::pod::old_volumes;

/// `glusterfs`.
pub fn glusterfs(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    old_volumes::glusterfs(errors, path, source);
    let path = path.child("endpointsNamespace");
    match text_ptr(source, "endpointsNamespace") {
        None => {}
        Some("") => {
            bad_text(errors, &path, "", "if the endpointnamespace is set, it must be a valid namespace name");
        }
        Some(namespace) => check::label(errors, &path, namespace),
    }
}

/// `azureFile`.
pub fn azure_file(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    old_volumes::azure_file(errors, path, source);
    if text_ptr(source, "secretNamespace") == Some("") {
        errors.required(&path.child("secretNamespace"), "");
    }
}

/// `cinder`.
pub fn cinder(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    old_volumes::cinder(errors, path, source);
    secret_namespace(errors, path, source);
}

/// `storageos`.
pub fn storageos(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    old_volumes::storageos(errors, path, source);
    secret_namespace(errors, path, source);
}

fn secret_namespace(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    if get(source, "secretRef").is_some_and(|secret| text(secret, "namespace").is_empty()) {
        errors.required(&path.child("secretRef.namespace"), "");
    }
}

/// `iscsi`.
pub fn iscsi(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    let fault: fn(&str) -> _ = |name| old_volumes::iscsi_fault(name).map(|_| "must be valid format");
    old_volumes::iscsi_target(errors, path, source, fault);
    old_volumes::secret_name(errors, path, source);
    old_volumes::iscsi_initiator(errors, path, source, fault);
}

/// The name of an `iscsi` volume is a part of that of its interface.
pub fn iscsi_name(errors: &mut FieldErrors, path: &Path<'_>, source: &Value, name: &str) {
    if let Some(detail) = old_volumes::iscsi_too_long(source, name) {
        bad_text(errors, &path.child("targetportal"), text(source, "targetPortal"), detail);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kinds::common::testing::faults;
    use crate::kinds::persistent_volume::PersistentVolume;

    fn found(key: &str, source: serde_json::Value) -> Vec<String> {
        let mut spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Recycle"});
        spec[key] = source;
        faults(&PersistentVolume, json!({"metadata": {"name": "a"}, "spec": spec}))
    }

    #[test]
    fn sources_of_volumes_have_rules_of_their_own() {
        let format = "must be valid format";
        let portal = "p".repeat(63);
        let recycled =
            "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'";
        for (key, source, expected) in [
            (
                "glusterfs",
                json!({"endpoints": "e", "path": "p", "endpointsNamespace": ""}),
                vec!["spec.glusterfs.endpointsNamespace: Invalid value: \"\": if the endpointnamespace is set, it must be a valid namespace name".to_owned()],
            ),
            (
                "azureFile",
                json!({"secretName": "s", "shareName": "n", "secretNamespace": ""}),
                vec!["spec.azureFile.secretNamespace: Required value".to_owned()],
            ),
            (
                "cinder",
                json!({"volumeID": "v", "secretRef": {}}),
                vec![
                    "spec.cinder.secretRef.name: Required value".to_owned(),
                    "spec.cinder.secretRef.namespace: Required value".to_owned(),
                ],
            ),
            (
                "storageos",
                json!({"volumeName": "v", "secretRef": {"name": "n"}}),
                vec!["spec.storageos.secretRef.namespace: Required value".to_owned()],
            ),
            (
                "iscsi",
                json!({"targetPortal": portal, "iqn": "x", "lun": 0, "secretRef": {}, "initiatorName": "x"}),
                vec![
                    format!("spec.iscsi.targetportal: Invalid value: {portal:?}: Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."),
                    format!("spec.iscsi.iqn: Invalid value: \"x\": {format}"),
                    "spec.iscsi.secretRef.name: Required value".to_owned(),
                    format!("spec.iscsi.initiatorname: Invalid value: \"x\": {format}"),
                ],
            ),
            ("hostPath", json!({"path": "/./"}), vec![recycled.to_owned()]),
            ("hostPath", json!({"path": ""}), vec!["spec.hostPath.path: Required value".to_owned()]),
        ] {
            assert_eq!(found(key, source), expected, "{key}");
        }
    }
}
