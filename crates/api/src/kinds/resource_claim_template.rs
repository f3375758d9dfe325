//! `ResourceClaimTemplate` of `resource.k8s.io/v1`: claims that are made for each pod that names it.

use jiff::Timestamp;
use serde_json::Value;

use super::common::walk::{ensure, get};
use super::common::{cells, check, devices};
use super::pod::internal;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};
use crate::meta::{validate_annotations, validate_labels};

/// The kind's rules.
pub struct ResourceClaimTemplate;

static INFO: KindInfo = KindInfo {
    group: "resource.k8s.io",
    version: "v1",
    kind: "ResourceClaimTemplate",
    plural: "resourceclaimtemplates",
    singular: "resourceclaimtemplate",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "resourceclaimtemplates",
};

static COLUMNS: &[Column] = &[cells::NAME, cells::AGE];

impl Kind for ResourceClaimTemplate {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        devices::set_defaults(ensure(ensure(object, "spec"), "spec"));
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        let (path, spec) = (Path::new("spec"), &object["spec"]);
        let place = path.child("metadata");
        validate_labels(&spec["metadata"]["labels"], &place.child("labels"), errors);
        validate_annotations(&spec["metadata"]["annotations"], &place.child("annotations"), errors);
        devices::claim(errors, &path.child("spec"), &spec["spec"]);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        let shown = |spec: &Value| internal::json("ResourceClaimTemplateSpec", spec);
        check::immutable(errors, &Path::new("spec"), get(new, "spec"), get(old, "spec"), shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{faults, made, update_faults};
    use serde_json::json;

    fn template() -> Value {
        json!({"spec": {"metadata": {"labels": {"a": "b"}}, "spec": {"devices": {"requests": [
            {"name": "r", "exactly": {"deviceClassName": "c"}}]}}}})
    }

    #[test]
    fn the_claim_inside_is_filled_in_and_checked() {
        let made = made(&ResourceClaimTemplate, template());
        assert_eq!(made["spec"]["spec"]["devices"]["requests"][0]["exactly"]["count"], 1);
        let mut bad = template();
        bad["spec"]["metadata"]["labels"]["a"] = "b c".into();
        bad["spec"]["spec"]["devices"]["requests"][0]["exactly"]["deviceClassName"] = "".into();
        let found = faults(&ResourceClaimTemplate, bad);
        let fields: Vec<&str> = found.iter().filter_map(|fault| fault.split(": ").next()).collect();
        assert_eq!(fields, ["spec.metadata.labels", "spec.spec.devices.requests[0].exactly.deviceClassName"]);
    }

    #[test]
    fn templates_stay() {
        let found = update_faults(&ResourceClaimTemplate, template(), Part::Main, |new| {
            new["spec"]["metadata"]["labels"]["a"] = "c".into();
        });
        assert_eq!(
            found,
            [
                r#"spec: Invalid value: {"labels":{"a":"c"},"Spec":{"Devices":{"Requests":[{"Name":"r","Exactly":{"DeviceClassName":"c","Selectors":null,"AllocationMode":"ExactCount","Count":1,"AdminAccess":null,"Tolerations":null,"Capacity":null},"FirstAvailable":null}],"Constraints":null,"Config":null}}}: field is immutable"#
            ]
        );
    }
}
