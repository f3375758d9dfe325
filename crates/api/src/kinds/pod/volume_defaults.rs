//! Defaults of volumes.

use serde_json::{Value, json};

use super::spec_defaults::pull_policy;
use crate::kinds::common::walk::{default, default_text, ensure, get_mut, list_mut, set, text};

/// Readable by everyone, writable by the owner.
const FILE_MODE: i64 = 0o644;
/// An hour.
const TOKEN_SECONDS: i64 = 3600;

/// Defaults of one entry of `spec.volumes`.
pub fn volume(volume: &mut Value) {
    let has_source = volume
        .as_object()
        .is_some_and(|entry| entry.iter().any(|(key, value)| key != "name" && !value.is_null()));
    if !has_source {
        set(volume, "emptyDir", json!({}));
        return;
    }
    if let Some(source) = get_mut(volume, "hostPath") {
        default(source, "type", "");
    }
    for key in ["secret", "configMap"] {
        if let Some(source) = get_mut(volume, key) {
            default(source, "defaultMode", FILE_MODE);
        }
    }
    if let Some(source) = get_mut(volume, "downwardAPI") {
        default(source, "defaultMode", FILE_MODE);
        downward_items(source);
    }
    if let Some(source) = get_mut(volume, "projected") {
        projected(source);
    }
    if let Some(template) =
        get_mut(volume, "ephemeral").and_then(|source| get_mut(source, "volumeClaimTemplate"))
    {
        claim_spec(ensure(template, "spec"));
    }
    if let Some(source) = get_mut(volume, "image")
        && text(source, "pullPolicy").is_empty()
    {
        let policy = pull_policy(text(source, "reference"));
        set(source, "pullPolicy", policy);
    }
    old_plugins(volume);
}

/// Defaults of a claim's spec, where it stands in a template.
pub fn claim_spec(spec: &mut Value) {
    default(spec, "volumeMode", "Filesystem");
}

fn projected(source: &mut Value) {
    default(source, "defaultMode", FILE_MODE);
    for each in list_mut(source, "sources") {
        if let Some(token) = get_mut(each, "serviceAccountToken") {
            default(token, "expirationSeconds", TOKEN_SECONDS);
        }
        if let Some(downward) = get_mut(each, "downwardAPI") {
            downward_items(downward);
        }
        if let Some(certificate) = get_mut(each, "podCertificate") {
            default(certificate, "maxExpirationSeconds", 86_400);
        }
    }
}

fn downward_items(source: &mut Value) {
    for item in list_mut(source, "items") {
        if let Some(field) = get_mut(item, "fieldRef") {
            default_text(field, "apiVersion", "v1");
        }
    }
}

/// Plugins that upstream keeps in the API only.
fn old_plugins(volume: &mut Value) {
    if let Some(source) = get_mut(volume, "iscsi") {
        default_text(source, "iscsiInterface", "default");
    }
    if let Some(source) = get_mut(volume, "rbd") {
        default_text(source, "pool", "rbd");
        default_text(source, "user", "admin");
        default_text(source, "keyring", "/etc/ceph/keyring");
    }
    if let Some(source) = get_mut(volume, "azureDisk") {
        default(source, "cachingMode", "ReadWrite");
        default(source, "kind", "Shared");
        default(source, "fsType", "ext4");
        default(source, "readOnly", false);
    }
    if let Some(source) = get_mut(volume, "scaleIO") {
        default_text(source, "storageMode", "ThinProvisioned");
        default_text(source, "fsType", "xfs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_get_their_defaults() {
        for (given, made) in [
            (json!({"name": "v"}), json!({"name": "v", "emptyDir": {}})),
            (json!({"hostPath": {"path": "/x"}}), json!({"hostPath": {"path": "/x", "type": ""}})),
            (json!({"secret": {}}), json!({"secret": {"defaultMode": 420}})),
            (
                json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
                json!({"projected": {"defaultMode": 420,
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}}),
            ),
            (
                json!({"image": {"reference": "x"}}),
                json!({"image": {"reference": "x", "pullPolicy": "Always"}}),
            ),
        ] {
            let mut object = given;
            volume(&mut object);
            assert_eq!(object, made);
        }
    }
}
