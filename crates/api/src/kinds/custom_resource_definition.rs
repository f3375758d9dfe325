//! `CustomResourceDefinition` of `apiextensions.k8s.io/v1`: a kind that a user makes.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>

mod default_values;
mod names;
mod schema;
mod spec;
mod structural;
mod update;

use serde_json::{Value, json};

use super::common::walk::{default_text, ensure, flag, get, list, list_mut, map_of, set, text};
use crate::field::FieldErrors;
use crate::kind::{Deletion, Kind, KindInfo, Part, Rules, Scope, Subresource};

/// The kind's rules.
pub struct CustomResourceDefinition;

/// What keeps a definition until the last of its objects is gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

static INFO: KindInfo = KindInfo {
    group: "apiextensions.k8s.io",
    version: "v1",
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    singular: "customresourcedefinition",
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "CustomResourceDefinition",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "apiextensions.k8s.io/customresourcedefinitions",
};

/// Adds the version that objects are stored in to those that they may be stored in.
fn remember_storage(object: &mut Value) {
    let storage = list(&object["spec"], "versions").iter().find(|version| flag(version, "storage"));
    let Some(name) = storage.map(|version| Value::from(text(version, "name"))) else { return };
    let status = ensure(object, "status");
    let stored = map_of(status).entry("storedVersions").or_insert(Value::Null);
    match stored {
        Value::Array(stored) if stored.contains(&name) => {}
        Value::Array(stored) => stored.push(name),
        stored => *stored = json!([name]),
    }
}

impl Kind for CustomResourceDefinition {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn checks_metadata(&self) -> bool {
        true
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        let names = ensure(spec, "names");
        let kind = text(names, "kind").to_owned();
        if !kind.is_empty() {
            default_text(names, "singular", &kind.to_lowercase());
            default_text(names, "listKind", &format!("{kind}List"));
        }
        if get(spec, "conversion").is_none() {
            set(spec, "conversion", json!({"strategy": "None"}));
        }
        let conversion = ensure(spec, "conversion");
        if let Some(service) = conversion.pointer_mut("/webhook/clientConfig/service")
            && service.is_object()
            && get(service, "port").is_none()
        {
            set(service, "port", 443);
        }
        for version in list_mut(spec, "versions") {
            // Objects that say so little are none.
            if version.pointer("/schema/openAPIV3Schema").is_some_and(Value::is_null) {
                set(version, "schema", Value::Null);
            }
        }
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        set(object, "status", json!({}));
        remember_storage(object);
    }

    fn prepare_update(&self, new: &mut Value, _old: &Value, part: Part, rules: &Rules<'_>) {
        match part {
            Part::Main => remember_storage(new),
            Part::Sub("delete") => {
                let condition = json!({"type": "Terminating", "status": "True", "lastTransitionTime": rules.now,
                    "reason": "InstanceDeletionPending", "message":
                    "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"});
                match ensure(new, "status").get_mut("conditions").and_then(Value::as_array_mut) {
                    Some(conditions) => conditions.push(condition),
                    None => set(ensure(new, "status"), "conditions", json!([condition])),
                }
            }
            _ => {}
        }
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        spec::validate_metadata(object, errors);
        spec::validate(object, None, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        match part {
            Part::Main => {
                spec::validate(new, Some(old), errors);
                update::validate(new, old, errors);
            }
            _ => spec::validate_status(new, errors),
        }
    }

    fn deletion(&self, _object: &Value, _grace_seconds: Option<i64>) -> Deletion {
        Deletion::Finalizer(CLEANUP)
    }
}
