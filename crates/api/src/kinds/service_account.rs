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

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), cells::age(object, now)]
    }
}

/// Of references to secrets nothing but the name is kept.
fn name_secrets_only(object: &mut Value) {
    for secret in list_mut(object, "secrets") {
        *secret = match get(secret, "name") {
            Some(name) => json!({"name": name}),
            None => json!({}),
        };
    }
}
