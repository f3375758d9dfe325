//! `ServiceAccount` of `v1`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self};
use super::common::walk::{get, list_mut};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource};

/// The kind's rules.
pub struct ServiceAccount;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "token",
        kind: "TokenRequest",
        group: "authentication.k8s.io",
        version: "v1",
        verbs: &["create"],
    }],
    store_prefix: "serviceaccounts",
};

static COLUMNS: &[Column] = &[cells::NAME, cells::AGE];

impl Kind for ServiceAccount {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        name_secrets_only(object);
    }

    fn prepare_update(&self, new: &mut Value, _old: &Value, _part: Part, _rules: &Rules<'_>) {
        name_secrets_only(new);
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let marked = |object: &Value| get(&object["metadata"]["annotations"], ENFORCE).is_some();
        if !marked(new) || old.is_some_and(marked) {
            return Vec::new();
        }
        let words = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
        vec![format!("metadata.annotations[{ENFORCE}]: {words}")]
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), cells::age(object, now)]
    }
}

/// Says that pods may mount the account's secrets alone.
const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";

/// Of references to secrets nothing but the name is kept.
fn name_secrets_only(object: &mut Value) {
    for secret in list_mut(object, "secrets") {
        *secret = match get(secret, "name") {
            Some(name) => json!({"name": name}),
            None => json!({}),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_annotation_is_told_once() {
        let marked = json!({"metadata": {"annotations": {ENFORCE: "true"}}});
        let told = [
            "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets",
        ];
        assert_eq!(ServiceAccount.warnings(&marked, None), told);
        assert_eq!(ServiceAccount.warnings(&marked, Some(&json!({"metadata": {}}))), told);
        assert!(ServiceAccount.warnings(&marked, Some(&marked)).is_empty());
    }
}
