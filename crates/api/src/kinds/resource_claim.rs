//! `ResourceClaim` of `resource.k8s.io/v1`: devices that pods need, and which ones they were given.
//! Source: KEP-4381 and <https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/>

mod status;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column};
use super::common::walk::{ensure, get, list, set};
use super::common::{check, devices, status_write};
use super::pod::internal;
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource};

/// The kind's rules.
pub struct ResourceClaim;

static INFO: KindInfo = KindInfo {
    group: "resource.k8s.io",
    version: "v1",
    kind: "ResourceClaim",
    plural: "resourceclaims",
    singular: "resourceclaim",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "ResourceClaim",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "resourceclaims",
};

static COLUMNS: &[Column] = &[cells::NAME, column("State", "string", "How far the claim is."), cells::AGE];

impl Kind for ResourceClaim {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        devices::set_defaults(ensure(object, "spec"));
        status::set_defaults(ensure(object, "status"));
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        set(object, "status", json!({}));
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Status {
            status_write::keep_metadata(new, old);
            status::drop_of_devices_given_back(new, old);
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), state(object).into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        devices::claim(errors, &Path::new("spec"), &object["spec"]);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            return status::validate(new, old, errors);
        }
        let shown = |spec: &Value| internal::json("ResourceClaimSpec", spec);
        check::immutable(errors, &Path::new("spec"), get(new, "spec"), get(old, "spec"), shown);
    }
}

/// The cell `State`.
fn state(claim: &Value) -> String {
    let deleted = get(&claim["metadata"], "deletionTimestamp").is_some();
    let allocated = get(&claim["status"], "allocation").is_some();
    let words = [
        (deleted, "deleted"),
        (!deleted && !allocated, "pending"),
        (allocated, "allocated"),
        (allocated && !list(&claim["status"], "reservedFor").is_empty(), "reserved"),
    ];
    words.into_iter().filter_map(|(so, word)| so.then_some(word)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{faults, made, update_faults};

    fn requests(requests: Value) -> Value {
        json!({"spec": {"devices": {"requests": requests}}})
    }

    #[test]
    fn requests_are_for_one_device_unless_they_say_more() {
        let claim = made(
            &ResourceClaim,
            requests(json!([
                {"name": "a", "exactly": {"deviceClassName": "c", "tolerations": [{"key": "k"}]}},
                {"name": "b", "exactly": {"deviceClassName": "c", "allocationMode": "All"}},
                {"name": "c", "firstAvailable": [{"name": "x", "deviceClassName": "c"},
                    {"name": "y", "deviceClassName": "c", "count": 2}]}])),
        );
        let made = &claim["spec"]["devices"]["requests"];
        assert_eq!(
            made[0]["exactly"],
            json!({"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1,
                "tolerations": [{"key": "k", "operator": "Equal"}]})
        );
        assert_eq!(made[1]["exactly"], json!({"deviceClassName": "c", "allocationMode": "All"}));
        let counts: Vec<&Value> =
            list(&made[2], "firstAvailable").iter().map(|each| &each["count"]).collect();
        assert_eq!(counts, [1, 2]);
        assert_eq!(claim["status"], json!({}));
    }

    #[test]
    fn requests_are_checked() {
        let request = "spec.devices.requests[0]";
        for (given, expected) in [
            (
                json!({"name": "r"}),
                vec![format!(
                    "{request}: Required value: exactly one of `exactly` or `firstAvailable` is required"
                )],
            ),
            (
                json!({"name": "r", "exactly": {"deviceClassName": "c"}, "firstAvailable": [{"name": "x", "deviceClassName": "c"}]}),
                vec![format!(
                    "{request}: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
                )],
            ),
            (
                json!({"name": "r", "exactly": {}}),
                vec![format!("{request}.exactly.deviceClassName: Required value")],
            ),
            (
                json!({"name": "r", "exactly": {"deviceClassName": "c", "allocationMode": "All", "count": 2}}),
                vec![format!(
                    "{request}.exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'"
                )],
            ),
            (
                json!({"name": "r", "exactly": {"deviceClassName": "c", "count": -1}}),
                vec![format!("{request}.exactly.count: Invalid value: -1: must be greater than zero")],
            ),
            (
                json!({"name": "r", "exactly": {"deviceClassName": "c", "allocationMode": "Some"}}),
                vec![format!(
                    "{request}.exactly.allocationMode: Unsupported value: \"Some\": supported values: \"All\", \"ExactCount\""
                )],
            ),
            (
                json!({"name": "r", "firstAvailable": [{"name": "x", "deviceClassName": "c"}, {"name": "x", "deviceClassName": "c"}]}),
                vec![format!("{request}.firstAvailable[1]: Duplicate value: \"x\"")],
            ),
            (
                json!({"name": "r", "firstAvailable": vec![json!({"name": "x"}); 9]}),
                vec![format!("{request}.firstAvailable: Too many: 9: must have at most 8 items")],
            ),
            (
                json!({"name": "r", "exactly": {"deviceClassName": "c", "selectors": [{}, {"cel": {"expression": "device."}}]}}),
                vec![
                    format!("{request}.exactly.selectors[0].cel: Required value"),
                    format!(
                        "{request}.exactly.selectors[1].cel.expression: Invalid value: \"device.\": compilation failed: ERROR: <input>:1:8: Syntax error: no viable alternative at input '.'\n | device.\n | .......^"
                    ),
                ],
            ),
            (
                json!({"name": "r", "exactly": {"deviceClassName": "c", "selectors": [{"cel": {"expression": "x".repeat(10_241)}}]}}),
                vec![format!(
                    "{request}.exactly.selectors[0].cel.expression: Too long: may not be more than 10240 bytes"
                )],
            ),
        ] {
            assert_eq!(faults(&ResourceClaim, requests(json!([given]))), expected);
        }
        let same = json!({"name": "r", "exactly": {"deviceClassName": "c"}});
        assert_eq!(
            faults(&ResourceClaim, requests(json!([same, same]))),
            ["spec.devices.requests[1]: Duplicate value: \"r\""]
        );
    }

    #[test]
    fn constraints_and_parameters_are_about_requests() {
        let mut claim = requests(json!([{"name": "r", "exactly": {"deviceClassName": "c"}},
            {"name": "f", "firstAvailable": [{"name": "x", "deviceClassName": "c"}]}]));
        claim["spec"]["devices"]["constraints"] = json!([
            {"requests": ["r", "f/x"], "matchAttribute": "a.b/c"}, {"requests": ["f/y", "f", "f"], "distinctAttribute": "c"}, {}]);
        claim["spec"]["devices"]["config"] = json!([{"requests": ["a/b/c"]}]);
        let unknown = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
        assert_eq!(
            faults(&ResourceClaim, claim),
            [
                format!("spec.devices.constraints[1].requests[0]: Invalid value: \"f/y\": {unknown}"),
                "spec.devices.constraints[1].requests[2]: Duplicate value: \"f\"".into(),
                "spec.devices.constraints[1].distinctAttribute: Invalid value: \"c\": a fully qualified name must be a domain and a name separated by a slash".into(),
                "spec.devices.constraints[2]: Required value: exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set".into(),
                format!("spec.devices.config[0].requests[0]: Invalid value: \"a/b/c\": {unknown}"),
                "spec.devices.config[0].opaque: Required value".into(),
            ]
        );
    }

    #[test]
    fn specs_stay() {
        let claim = requests(json!([{"name": "r", "exactly": {"deviceClassName": "c"}}]));
        let found = update_faults(&ResourceClaim, claim.clone(), Part::Main, |new| {
            new["spec"]["devices"]["config"] =
                json!([{"opaque": {"driver": "d", "parameters": {"a": [2], "b": 1}}}]);
        });
        assert_eq!(
            found,
            [
                r#"spec: Invalid value: {"Devices":{"Requests":[{"Name":"r","Exactly":{"DeviceClassName":"c","Selectors":null,"AllocationMode":"ExactCount","Count":1,"AdminAccess":null,"Tolerations":null,"Capacity":null},"FirstAvailable":null}],"Constraints":null,"Config":[{"Requests":null,"Opaque":{"Driver":"d","Parameters":{"a":[2],"b":1}}}]}}: field is immutable"#
            ]
        );
        let found = update_faults(&ResourceClaim, claim, Part::Main, |new| {
            new["metadata"]["labels"] = json!({"a": "b"});
        });
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn states_in_tables() {
        let reserved = json!({"allocation": {}, "reservedFor": [{"uid": "u"}]});
        for (metadata, status, expected) in [
            (json!({}), json!({}), "pending"),
            (json!({}), json!({"allocation": {}}), "allocated"),
            (json!({}), reserved.clone(), "allocated,reserved"),
            (json!({"deletionTimestamp": "t"}), json!({}), "deleted"),
            (json!({"deletionTimestamp": "t"}), reserved, "deleted,allocated,reserved"),
        ] {
            assert_eq!(state(&json!({"metadata": metadata, "status": status})), expected);
        }
    }
}
