//! `ResourceSlice` of `resource.k8s.io/v1`: some devices of a pool, as their driver publishes them.
//! Source: KEP-4381, KEP-4815 (counters), KEP-5055 (taints), KEP-5075 (shared devices).

mod attribute;
mod capacity;
mod counters;
mod validate;

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::walk::{default, ensure, list_mut, remove, text};
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope};

/// The kind's rules.
pub struct ResourceSlice;

static INFO: KindInfo = KindInfo {
    group: "resource.k8s.io",
    version: "v1",
    kind: "ResourceSlice",
    plural: "resourceslices",
    singular: "resourceslice",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "resourceslices",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Node", "string", "The node whose devices these are."),
    column("Driver", "string", "Who publishes them."),
    column("Pool", "string", "The pool they belong to."),
    cells::AGE,
];

/// Attributes that are lists: an alpha feature of upstream's (KEP-5491), off there as well.
const LISTS: [&str; 4] = ["bools", "ints", "strings", "versions"];

impl Kind for ResourceSlice {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Value) {
        ensure(ensure(object, "spec"), "pool");
    }

    fn prepare_create(&self, object: &mut Value, rules: &Rules<'_>) {
        drop_disabled(object);
        date_taints(object, rules.now);
    }

    fn prepare_update(&self, new: &mut Value, _old: &Value, _part: Part, rules: &Rules<'_>) {
        drop_disabled(new);
        date_taints(new, rules.now);
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        vec![
            cells::name(object),
            text(spec, "nodeName").into(),
            text(spec, "driver").into(),
            text(&spec["pool"], "name").into(),
            cells::age(object, now),
        ]
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        let spec = &object["spec"];
        vec![
            ("spec.nodeName", text(spec, "nodeName").to_owned()),
            ("spec.driver", text(spec, "driver").to_owned()),
        ]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::spec(errors, &object["spec"], None);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate::spec(errors, &new["spec"], Some(&old["spec"]));
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let driver = text(&new["spec"], "driver");
        if driver == driver.to_lowercase() {
            return Vec::new();
        }
        let driver = crate::field::quote(driver);
        vec![format!("spec.driver: driver names should be lowercase; {driver} contains uppercase characters")]
    }
}

/// Drops what belongs to features that upstream has off: attributes that are lists, and devices that count as
/// resources of their node (KEP-5517).
fn drop_disabled(object: &mut Value) {
    for device in list_mut(ensure(object, "spec"), "devices") {
        remove(device, "nodeAllocatableResourceMappings");
        let attributes = device.get_mut("attributes").and_then(Value::as_object_mut);
        for attribute in attributes.into_iter().flat_map(serde_json::Map::values_mut) {
            LISTS.into_iter().for_each(|key| drop(remove(attribute, key)));
        }
    }
}

/// Taints count from when they were added.
fn date_taints(object: &mut Value, now: &str) {
    for device in list_mut(ensure(object, "spec"), "devices") {
        list_mut(device, "taints").iter_mut().for_each(|taint| default(taint, "timeAdded", now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{faults, made, update_faults};
    use crate::kinds::common::walk::{get, map_of};
    use serde_json::json;

    fn slice(devices: Value) -> Value {
        json!({"spec": {"driver": "d", "pool": {"name": "p", "resourceSliceCount": 1}, "nodeName": "n", "devices": devices}})
    }

    #[test]
    fn taints_are_dated_and_what_is_off_is_dropped() {
        let devices = json!([{"name": "a", "taints": [{"key": "k", "effect": "NoSchedule"}],
            "attributes": {"x": {"ints": [1], "int": 2}}, "nodeAllocatableResourceMappings": {"cpu": {}}}]);
        let made = made(&ResourceSlice, slice(devices));
        let device = &made["spec"]["devices"][0];
        assert_eq!(device["taints"][0]["timeAdded"], "2026-01-01T00:00:00Z");
        assert_eq!(device["attributes"], json!({"x": {"int": 2}}));
        assert_eq!(get(device, "nodeAllocatableResourceMappings"), None);
    }

    #[test]
    fn slices_can_be_selected_by_node_and_driver() {
        assert_eq!(
            ResourceSlice.selectable(&slice(json!([]))),
            [("spec.nodeName", "n".to_owned()), ("spec.driver", "d".to_owned())]
        );
        assert_eq!(
            ResourceSlice.warnings(&json!({"spec": {"driver": "D.example.com"}}), None),
            [
                "spec.driver: driver names should be lowercase; \"D.example.com\" contains uppercase characters"
            ]
        );
    }

    #[test]
    fn a_slice_is_of_one_sort_of_nodes() {
        let one =
            "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
        let selector = json!({"nodeSelectorTerms": [{}, {}]});
        for (given, expected) in [
            (json!({}), vec![format!("spec: Required value: {one}")]),
            (json!({"nodeName": "n"}), vec![]),
            (json!({"allNodes": true}), vec![]),
            (json!({"perDeviceNodeSelection": true}), vec![]),
            (
                json!({"nodeName": "n", "allNodes": true}),
                vec![format!("spec: Invalid value: \"{{`nodeName`, `allNodes`}}\": {one}, but multiple fields are set")],
            ),
            (
                json!({"nodeName": "", "allNodes": false}),
                vec![
                    "spec.nodeName: Invalid value: \"\": must be either unset or set to a non-empty string".into(),
                    "spec.allNodes: Invalid value: false: must be either unset or set to true".into(),
                    format!("spec: Required value: {one}"),
                ],
            ),
            (
                json!({"nodeSelector": selector}),
                vec![
                    r#"spec.nodeSelector.nodeSelectorTerms: Invalid value: [{"MatchExpressions":null,"MatchFields":null},{"MatchExpressions":null,"MatchFields":null}]: must have exactly one node selector term"#.into(),
                ],
            ),
        ] {
            let mut slice = json!({"spec": {"driver": "d", "pool": {"name": "p", "resourceSliceCount": 1}}});
            map_of(&mut slice["spec"]).extend(given.as_object().cloned().unwrap_or_default());
            assert_eq!(faults(&ResourceSlice, slice), expected, "{given}");
        }
    }

    #[test]
    fn driver_pool_and_node_stay() {
        let found = update_faults(&ResourceSlice, slice(json!([])), Part::Main, |new| {
            new["spec"]["driver"] = "e".into();
            new["spec"]["pool"]["name"] = "q".into();
            new["spec"]["nodeName"] = "m".into();
        });
        assert_eq!(
            found,
            [
                "spec.pool.name: Invalid value: \"q\": field is immutable",
                "spec.driver: Invalid value: \"e\": field is immutable",
                "spec.nodeName: Invalid value: \"m\": field is immutable",
            ]
        );
    }

    #[test]
    fn devices_are_checked() {
        let path = "spec.devices[0]";
        for (device, expected) in [
            (
                json!({"name": "D"}),
                vec![format!("{path}.name: Invalid value: \"D\": a lowercase RFC 1123 label")],
            ),
            (
                json!({"name": "a", "attributes": {"x": {}, "y": {"int": 1, "bool": true}}}),
                vec![
                    format!("{path}.attributes[x]: Invalid value: \"\": exactly one value must be specified"),
                    format!(
                        "{path}.attributes[y]: Invalid value: {{\"IntValue\":1,\"BoolValue\":true,\"StringValue\":null,\"VersionValue\":null,"
                    ),
                ],
            ),
            (
                json!({"name": "a", "attributes": {"x": {"version": "1.0"}, "y": {"string": "s".repeat(65)}}}),
                vec![
                    format!(
                        "{path}.attributes[x].version: Invalid value: \"1.0\": must be a string compatible with semver.org spec 2.0.0"
                    ),
                    format!("{path}.attributes[y].string: Too long: may not be more than 64 bytes"),
                ],
            ),
            (
                json!({"name": "a", "attributes": (0..33).map(|at| (format!("a{at}"), json!({"int": 1}))).collect::<serde_json::Map<_, _>>()}),
                vec![format!(
                    "{path}: Invalid value: 33: the total number of attributes and capacities must not exceed 32"
                )],
            ),
            (
                json!({"name": "a", "nodeName": "n"}),
                vec![format!(
                    "{path}: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if"
                )],
            ),
            (
                json!({"name": "a", "capacity": {"m": {"value": "1", "requestPolicy": {"default": "1"}}}}),
                vec![format!(
                    "{path}.capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true"
                )],
            ),
            (
                json!({"name": "a", "consumesCounters": [{}, {"counterSet": "c", "counters": {"C": {"value": "1"}}}]}),
                vec![
                    format!("{path}.consumesCounters[0].counterSet: Required value"),
                    format!("{path}.consumesCounters[0].counters: Required value"),
                    format!(
                        "{path}.consumesCounters[1].counters: Invalid value: \"C\": a lowercase RFC 1123 label"
                    ),
                ],
            ),
        ] {
            let found = faults(&ResourceSlice, slice(json!([device])));
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(&expected) {
                assert!(found.starts_with(expected.as_str()), "{found} {expected}");
            }
        }
        assert_eq!(
            faults(&ResourceSlice, slice(json!([{"name": "a"}, {"name": "a"}]))),
            ["spec.devices[1]: Duplicate value: \"a\""]
        );
    }

    #[test]
    fn a_slice_has_some_devices() {
        let named = |at: usize| json!({"name": format!("d{at}")});
        let plain: Vec<Value> = (0..129).map(named).collect();
        assert_eq!(
            faults(&ResourceSlice, slice(plain.into())),
            ["spec.devices: Too many: 129: must have at most 128 items"]
        );
        let mut tainted: Vec<Value> = (0..65).map(named).collect();
        tainted[0]["taints"] = json!([{"key": "k", "effect": "None"}]);
        assert_eq!(
            faults(&ResourceSlice, slice(tainted.into())),
            ["spec.devices: Too many: 65: must have at most 64 items"]
        );
    }

    #[test]
    fn devices_may_choose_their_nodes() {
        let with = |device: Value| {
            let mut slice = slice(json!([device]));
            remove(&mut slice["spec"], "nodeName");
            slice["spec"]["perDeviceNodeSelection"] = true.into();
            faults(&ResourceSlice, slice)
        };
        let one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        assert!(with(json!({"name": "a", "nodeName": "n"})).is_empty());
        assert_eq!(with(json!({"name": "a"})), [format!("spec.devices[0]: Required value: {one}")]);
        assert_eq!(
            with(json!({"name": "a", "nodeName": "n", "allNodes": true})),
            [format!("spec.devices[0]: Invalid value: \"{{`nodeName`, `allNodes`}}\": {one}")]
        );
    }

    #[test]
    fn shared_counters_stand_alone() {
        let mut slice = slice(json!([{"name": "a"}]));
        slice["spec"]["sharedCounters"] = json!([{"name": "c", "counters": {"m": {"value": "1"}}}]);
        assert_eq!(
            faults(&ResourceSlice, slice.clone()),
            ["spec: Invalid value: \"\": only one of `sharedCounters` or `devices` is allowed"]
        );
        remove(&mut slice["spec"], "devices");
        assert!(faults(&ResourceSlice, slice.clone()).is_empty());
        slice["spec"]["sharedCounters"] =
            json!([{}, {"name": "c"}, {"name": "c", "counters": {"m": {"value": "1"}}}]);
        assert_eq!(
            faults(&ResourceSlice, slice),
            [
                "spec.sharedCounters[0].name: Required value",
                "spec.sharedCounters[0].counters: Required value",
                "spec.sharedCounters[1].counters: Required value",
                "spec.sharedCounters[2]: Duplicate value: \"c\"",
            ]
        );
    }
}
