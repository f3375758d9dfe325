//! Sources of volumes that upstream keeps in the API for its drivers of old. A node refuses them.

use serde_json::{Value, json};

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text, one_of, required};
use crate::kinds::common::walk::{flag, get, int, int_ptr, list, map, text, text_ptr};

fn need(errors: &mut FieldErrors, path: &Path<'_>, source: &Value, keys: &[&str]) {
    for key in keys {
        required(errors, &path.child(key), text(source, key));
    }
}

fn partition(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    let number = int(source, "partition");
    // 0 is no partition, which the message doesn't count.
    if !(0..=255).contains(&number) {
        errors.invalid(&path.child("partition"), &number.into(), "must be between 1 and 255, inclusive");
    }
}

/// A secret that is named must be named with something.
pub fn secret_name(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    if get(source, "secretRef").is_some_and(|secret| text(secret, "name").is_empty()) {
        errors.required(&path.child("secretRef.name"), "");
    }
}

/// `gcePersistentDisk`.
pub fn gce(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["pdName"]);
    partition(errors, path, source);
}

/// `awsElasticBlockStore`.
pub fn aws(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["volumeID"]);
    partition(errors, path, source);
}

/// `nfs`.
pub fn nfs(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["server", "path"]);
    let place = text(source, "path");
    if !place.starts_with('/') {
        bad_text(errors, &path.child("path"), place, "must be an absolute path");
    }
}

/// `iscsi`.
pub fn iscsi(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    iscsi_target(errors, path, source, iscsi_fault);
    iscsi_initiator(errors, path, source, iscsi_fault);
}

/// The fields of `iscsi` up to the secret, with the words for a name's fault.
pub fn iscsi_target(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    source: &Value,
    fault: fn(&str) -> Option<&'static str>,
) {
    need(errors, path, source, &["targetPortal"]);
    let name = text(source, "iqn");
    if name.is_empty() {
        errors.required(&path.child("iqn"), "");
    } else if let Some(fault) = fault(name) {
        bad_text(errors, &path.child("iqn"), name, fault);
    }
    let lun = int(source, "lun");
    if !(0..=255).contains(&lun) {
        errors.invalid(&path.child("lun"), &lun.into(), "must be between 0 and 255, inclusive");
    }
    let asks = flag(source, "chapAuthDiscovery") || flag(source, "chapAuthSession");
    if asks && get(source, "secretRef").is_none() {
        errors.required(&path.child("secretRef"), "");
    }
}

/// Who asks for an `iscsi` volume, with the words for a name's fault.
pub fn iscsi_initiator(
    errors: &mut FieldErrors,
    path: &Path<'_>,
    source: &Value,
    fault: fn(&str) -> Option<&'static str>,
) {
    if let Some(initiator) = text_ptr(source, "initiatorName")
        && let Some(fault) = fault(initiator)
    {
        bad_text(errors, &path.child("initiatorname"), initiator, fault);
    }
}

/// What is wrong with the name of a target or initiator.
pub fn iscsi_fault(name: &str) -> Option<&'static str> {
    // Any one character, and as many letters and digits.
    let number = |length: usize| {
        let mut rest = name.chars().skip(3);
        let separated = rest.next().is_some_and(|character| character != '\n');
        separated && rest.clone().count() == length && rest.all(|character| character.is_ascii_alphanumeric())
    };
    let good = match name.get(..3) {
        Some("iqn") => is_qualified(name),
        Some("eui") => number(16),
        Some("naa") => number(32),
        _ => return Some("must be valid format starting with iqn, eui, or naa"),
    };
    (!good).then_some("must be valid format")
}

/// `iqn.YYYY-MM.AUTHORITY:NAME`, as upstream looks for it.
fn is_qualified(name: &str) -> bool {
    let Some((authority, own)) = name.strip_prefix("iqn.").and_then(|rest| rest.split_once(':')) else {
        return false;
    };
    let authority = authority.as_bytes();
    authority.len() > 8
        && authority[..4].iter().all(u8::is_ascii_digit)
        && authority[4] == b'-'
        && authority[5..7].iter().all(u8::is_ascii_digit)
        && authority[7] == b'.'
        && authority[8..].iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte))
        && !own.is_empty()
        && !own.contains(|character: char| ",;*&$|".contains(character) || character.is_ascii_whitespace())
}

/// The name of the interface is made of the volume's name and the portal.
pub fn iscsi_name(errors: &mut FieldErrors, path: &Path<'_>, source: &Value, name: &str) {
    if let Some(detail) = iscsi_too_long(source, name) {
        bad_text(errors, &path.child("name"), name, detail);
    }
}

/// What is wrong with the name of the interface.
pub fn iscsi_too_long(source: &Value, name: &str) -> Option<&'static str> {
    let length = name.len() + 1 + text(source, "targetPortal").len();
    (get(source, "initiatorName").is_some() && length > 64).then_some("Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.")
}

/// `glusterfs`.
pub fn glusterfs(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["endpoints", "path"]);
}

/// `flocker`.
pub fn flocker(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    let (name, uuid) = (text(source, "datasetName"), text(source, "datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.required(path, "one of datasetName and datasetUUID is required");
    }
    if !name.is_empty() && !uuid.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        bad_text(errors, path, "resource", detail);
    }
    if name.contains('/') {
        bad_text(errors, &path.child("datasetName"), name, "must not contain '/'");
    }
}

/// `rbd`.
pub fn rbd(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    cephfs(errors, path, source);
    need(errors, path, source, &["image"]);
}

/// `cephfs`.
pub fn cephfs(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    if list(source, "monitors").is_empty() {
        errors.required(&path.child("monitors"), "");
    }
}

/// `cinder`.
pub fn cinder(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["volumeID"]);
    secret_name(errors, path, source);
}

/// `quobyte`.
pub fn quobyte(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    let registry = text(source, "registry");
    let pairs = "must be a host:port pair or multiple pairs separated by commas";
    if registry.is_empty() {
        errors.required(&path.child("registry"), pairs);
    } else if text(source, "tenant").len() >= 65 {
        errors.required(&path.child("tenant"), "must be a UUID and may not exceed a length of 64 characters");
    } else {
        for pair in registry.split(',') {
            if pair.rsplit_once(':').is_none_or(|(host, _)| host.contains(':') && !host.ends_with(']')) {
                bad_text(errors, &path.child("registry"), registry, pairs);
            }
        }
    }
    need(errors, path, source, &["volume"]);
}

/// `fc`.
pub fn fc(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    let (targets, ids) = (list(source, "targetWWNs"), list(source, "wwids"));
    let place = path.child("targetWWNs");
    if targets.is_empty() && ids.is_empty() {
        errors.required(&place, "must specify either targetWWNs or wwids, but not both");
    }
    if !targets.is_empty() && !ids.is_empty() {
        errors.invalid(&place, &json!(targets), "targetWWNs and wwids can not be specified simultaneously");
    }
    if targets.is_empty() {
        return;
    }
    match int_ptr(source, "lun") {
        None => errors.required(&path.child("lun"), "lun is required if targetWWNs is specified"),
        Some(lun) if !(0..=255).contains(&lun) => {
            errors.invalid(&path.child("lun"), &lun.into(), "must be between 0 and 255, inclusive");
        }
        Some(_) => {}
    }
}

/// `flexVolume`.
pub fn flex(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["driver"]);
    for key in map(source, "options").keys() {
        let domain =
            format!(".{}", key.split('/').next().filter(|_| key.contains('/')).unwrap_or(key).to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let place = path.child("options");
            bad_text(errors, &place.key(key), key, "kubernetes.io and k8s.io namespaces are reserved");
        }
    }
}

/// `azureFile`.
pub fn azure_file(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["secretName", "shareName"]);
}

/// `vsphereVolume`.
pub fn vsphere(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["volumePath"]);
}

/// `photonPersistentDisk`.
pub fn photon(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["pdID"]);
}

/// `portworxVolume`.
pub fn portworx(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["volumeID"]);
}

/// `azureDisk`.
pub fn azure_disk(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["diskName", "diskURI"]);
    if let Some(mode) = text_ptr(source, "cachingMode") {
        one_of(errors, &path.child("cachingMode"), mode, &["None", "ReadOnly", "ReadWrite"]);
    }
    let Some(kind) = text_ptr(source, "kind") else { return };
    one_of(errors, &path.child("kind"), kind, &["Dedicated", "Managed", "Shared"]);
    let uri = text(source, "diskURI");
    if kind == "Managed" && !uri.starts_with("/subscriptions/") {
        errors.not_supported(&path.child("diskURI"), &uri.into(), &["/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"]);
    }
    if kind != "Managed" && !uri.starts_with("https://") {
        errors.not_supported(
            &path.child("diskURI"),
            &uri.into(),
            &["https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"],
        );
    }
}

/// `storageos`.
pub fn storageos(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    let name = text(source, "volumeName");
    if name.is_empty() {
        errors.required(&path.child("volumeName"), "");
    } else {
        check::label(errors, &path.child("volumeName"), name);
    }
    let namespace = text(source, "volumeNamespace");
    if !namespace.is_empty() {
        check::label(errors, &path.child("volumeNamespace"), namespace);
    }
    secret_name(errors, path, source);
}

/// `scaleIO`.
pub fn scale_io(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    need(errors, path, source, &["gateway", "system", "volumeName"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_few() {
        let mut errors = FieldErrors::new();
        for number in [0, 255, 256, -1] {
            partition(&mut errors, &Path::new("v"), &json!({"partition": number}));
        }
        let found: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        let words = "must be between 1 and 255, inclusive";
        assert_eq!(
            found,
            [
                format!("v.partition: Invalid value: 256: {words}"),
                format!("v.partition: Invalid value: -1: {words}")
            ]
        );
    }

    #[test]
    fn iscsi_names_have_their_forms() {
        for (name, good) in [
            ("iqn.2001-04.com.example:a", true),
            ("iqn.2001-04.com.example:a:b", true),
            ("iqn.2001-04.com.example", false),
            ("iqn.2001-04.com.example:a b", false),
            ("iqn.2001-04.com_example:a", false),
            ("iqn.2001-4.com", false),
            ("eui.0123456789abcdef", true),
            ("eui-0123456789abcdeg", true),
            ("eui.0123", false),
            ("naa.0123456789abcdef0123456789abcdef", true),
            ("abc", false),
        ] {
            assert_eq!(iscsi_fault(name).is_none(), good, "{name}");
        }
    }
}
