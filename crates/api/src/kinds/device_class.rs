//! `DeviceClass` of `resource.k8s.io/v1`: devices that can be asked for by a name.

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells;
use super::common::walk::{ensure, get, same, text_ptr};
use super::common::{check, devices};
use super::pod::resources::is_extended;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};

/// The kind's rules.
pub struct DeviceClass;

static INFO: KindInfo = KindInfo {
    group: "resource.k8s.io",
    version: "v1",
    kind: "DeviceClass",
    plural: "deviceclasses",
    singular: "deviceclass",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "deviceclasses",
};

static COLUMNS: &[Column] = &[cells::NAME, cells::AGE];

impl Kind for DeviceClass {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Value) {
        ensure(object, "spec");
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(errors, &object["spec"], None);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(errors, &new["spec"], Some(&old["spec"]));
    }
}

fn validate(errors: &mut FieldErrors, spec: &Value, old: Option<&Value>) {
    let path = Path::new("spec");
    let stored = old.is_some_and(|old| same(get(spec, "selectors"), get(old, "selectors")));
    devices::selectors(errors, &path, spec, stored);
    devices::class_config(errors, &path, spec, old);
    if let Some(name) = text_ptr(spec, "extendedResourceName").filter(|name| !is_extended(name)) {
        let detail = "must be a valid extended resource name";
        check::bad_text(errors, &path.child("extendedResourceName"), name, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{faults, update_faults};
    use serde_json::json;

    #[test]
    fn classes_are_checked() {
        let spec = json!({"selectors": [{}], "config": [{}, {"opaque": {"driver": "D_", "parameters": {}}}],
            "extendedResourceName": "cpu"});
        let found = faults(&DeviceClass, json!({"spec": spec}));
        assert_eq!(
            found[..2],
            ["spec.selectors[0].cel: Required value", "spec.config[0].opaque: Required value"]
        );
        assert!(found[2].starts_with("spec.config[1].opaque.driver: Invalid value: \"D_\""), "{found:?}");
        assert_eq!(
            found[3..],
            ["spec.extendedResourceName: Invalid value: \"cpu\": must be a valid extended resource name"]
        );
        assert!(
            faults(&DeviceClass, json!({"spec": {"extendedResourceName": "example.com/gpu"}})).is_empty()
        );
    }

    #[test]
    fn long_parameters_may_stay() {
        let long = json!({"x": "y".repeat(11_000)});
        let spec = json!({"config": [{"opaque": {"driver": "d", "parameters": long}}]});
        assert_eq!(
            faults(&DeviceClass, json!({"spec": spec})),
            ["spec.config[0].opaque.parameters: Too long: may not be more than 10240 bytes"]
        );
        let found = update_faults(&DeviceClass, json!({"spec": spec}), Part::Main, |new| {
            new["spec"]["extendedResourceName"] = "example.com/gpu".into();
        });
        assert!(found.is_empty(), "{found:?}");
    }
}
