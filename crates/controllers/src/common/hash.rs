//! The hash of a pod template, and templates compared.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

/// The label that tells a Deployment's ReplicaSets apart.
pub(crate) const TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// A name's part for a template: the same for the same template. `collisions` is `status.collisionCount`.
pub(crate) fn of_template(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let mut bytes = canonical(template).to_string().into_bytes();
    if let Some(collisions) = collisions {
        bytes.extend_from_slice(&collisions.to_le_bytes());
    }
    encode(fnv1a(&bytes))
}

/// Whether two templates are the same but for the hash label.
pub(crate) fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    canonical(a) == canonical(b)
}

fn canonical(template: &PodTemplateSpec) -> Value {
    let mut value = serde_json::to_value(template).unwrap_or_default();
    if let Some(labels) = value.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH_LABEL);
    }
    pruned(value)
}

/// Without nulls, empty lists and empty maps, which say the same as absent fields.
fn pruned(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (key, pruned(value)))
                .filter(|(key, value)| {
                    // An empty `emptyDir: {}` is a choice, not an absence: only lists and maps of metadata go.
                    !value.is_null()
                        && !value.as_array().is_some_and(Vec::is_empty)
                        && !(matches!(key.as_str(), "labels" | "annotations" | "nodeSelector" | "metadata")
                            && value.as_object().is_some_and(serde_json::Map::is_empty))
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(pruned).collect()),
        other => other,
    }
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The number's digits in the alphabet of generated names, as upstream's `rand.SafeEncodeString`.
fn encode(hash: u32) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    hash.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(value: Value) -> PodTemplateSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_hash_label_does_not_count() {
        let plain = template(json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}));
        let hashed = template(
            json!({"metadata": {"labels": {"a": "b", "pod-template-hash": "x"}}, "spec": {"containers": []}}),
        );
        assert!(same_template(&plain, &hashed));
        assert_eq!(of_template(&plain, None), of_template(&hashed, None));
        assert_ne!(of_template(&plain, None), of_template(&plain, Some(1)));
        let other = template(json!({"metadata": {"labels": {"a": "c"}}, "spec": {"containers": []}}));
        assert!(!same_template(&plain, &other));
    }
}
