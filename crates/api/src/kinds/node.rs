//! `Node` of `v1`.

mod validate;

use super::common::{ip_forms, resource_list};
use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column, wide};
use super::common::walk::{flag, get, get_mut, list, map, remove, set, text, texts};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope, Subresource};

/// The kind's rules.
pub struct Node;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    categories: &[],
    scope: Scope::Cluster,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[
        Subresource {
            name: "proxy",
            kind: "NodeProxyOptions",
            group: "",
            version: "",
            verbs: &["create", "delete", "get", "patch", "update"],
        },
        Subresource {
            name: "status",
            kind: "Node",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
    ],
    store_prefix: "minions",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Status", "string", "Whether the node is ready."),
    column("Roles", "string", "What the node is for."),
    cells::AGE,
    column("Version", "string", "Version of the node agent."),
    wide("Internal-IP", "string", "Address inside."),
    wide("External-IP", "string", "Address outside."),
    wide("OS-Image", "string", "Operating system."),
    wide("Kernel-Version", "string", "Kernel."),
    wide("Container-Runtime", "string", "Container runtime."),
];

impl Kind for Node {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn brings_status(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Value) {
        if let Some(spec) = get_mut(object, "spec") {
            one_cidr_in_two_fields(spec);
        }
        let Some(status) = get_mut(object, "status") else { return };
        resource_list::round_up(get_mut(status, "capacity"));
        resource_list::round_up(get_mut(status, "allocatable"));
        if get(status, "allocatable").is_none()
            && let Some(capacity) = get(status, "capacity").cloned()
        {
            set(status, "allocatable", capacity);
        }
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        drop_config_source(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _part: Part, _rules: &Rules<'_>) {
        if get(&old["spec"], "configSource").is_none() {
            drop_config_source(new);
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let status = &object["status"];
        let info = &status["nodeInfo"];
        let known = |key: &str| -> Value {
            match text(info, key) {
                "" => "<unknown>".into(),
                word => word.into(),
            }
        };
        vec![
            cells::name(object),
            readiness(object).into(),
            roles(object).into(),
            cells::age(object, now),
            text(info, "kubeletVersion").into(),
            address(status, "InternalIP").into(),
            address(status, "ExternalIP").into(),
            known("osImage"),
            known("kernelVersion"),
            known("containerRuntimeVersion"),
        ]
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![("spec.unschedulable", flag(&object["spec"], "unschedulable").to_string())]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::taints(object, errors);
        validate::resources(object, errors);
        validate::pod_cidrs(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate::update(new, old, errors);
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        if !text(&new["spec"], "externalID").is_empty() {
            let words = "spec.externalID: this field is deprecated, and is unused by Kubernetes";
            warnings.push(words.to_owned());
        }
        let path = Path::new("spec.podCIDRs");
        for (at, cidr) in texts(&new["spec"], "podCIDRs").enumerate() {
            ip_forms::of_cidr(&mut warnings, &path.index(at), cidr);
        }
        warnings
    }
}

/// A field of a feature that is gone (dynamic configuration of kubelets).
fn drop_config_source(object: &mut Value) {
    if let Some(spec) = get_mut(object, "spec") {
        remove(spec, "configSource");
    }
}

fn readiness(object: &Value) -> String {
    let ready = list(&object["status"], "conditions").iter().find(|each| text(each, "type") == "Ready");
    let mut words = vec![match ready.map(|condition| text(condition, "status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }];
    if flag(&object["spec"], "unschedulable") {
        words.push("SchedulingDisabled");
    }
    words.join(",")
}

fn roles(object: &Value) -> String {
    let mut roles: Vec<&str> = map(&object["metadata"], "labels")
        .iter()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            None if key == "kubernetes.io/role" => value.as_str(),
            role => role,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { cells::NONE.to_owned() } else { roles.join(",") }
}

fn address<'a>(status: &'a Value, kind: &str) -> &'a str {
    let found = list(status, "addresses").iter().find(|address| text(address, "type") == kind);
    found.map_or(cells::NONE, |address| text(address, "address"))
}

/// `podCIDR` and the first of `podCIDRs` are one thing; the older field wins.
fn one_cidr_in_two_fields(spec: &mut Value) {
    let first = texts(spec, "podCIDRs").next().unwrap_or_default().to_owned();
    let own = text(spec, "podCIDR").to_owned();
    if own.is_empty() && !first.is_empty() {
        set(spec, "podCIDR", first);
    } else if !own.is_empty() && own != first {
        set(spec, "podCIDRs", vec![own]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{faults, made, update_faults};

    #[test]
    fn rows_say_ready_and_roles() {
        let node = json!({"metadata": {"labels": {"node-role.kubernetes.io/b": "", "kubernetes.io/role": "a"}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}], "addresses": [{"type": "InternalIP", "address": "1.2.3.4"}]}});
        let row = Node.row(&node, Timestamp::UNIX_EPOCH);
        assert_eq!(row[1], "NotReady,SchedulingDisabled");
        assert_eq!(row[2], "a,b");
        assert_eq!(row[5], "1.2.3.4");
        assert_eq!(row[6], cells::NONE);
    }

    #[test]
    fn one_cidr_stands_in_two_fields() {
        let spec = |spec: Value| made(&Node, json!({"spec": spec}))["spec"].clone();
        assert_eq!(spec(json!({"podCIDRs": ["10.0.0.0/24"]}))["podCIDR"], "10.0.0.0/24");
        assert_eq!(spec(json!({"podCIDR": "10.0.0.0/24"}))["podCIDRs"], json!(["10.0.0.0/24"]));
        let moved = update_faults(&Node, json!({"spec": {"podCIDR": "10.0.0.0/24"}}), Part::Main, |new| {
            new["spec"] = json!({"podCIDR": "10.1.0.0/24"});
        });
        assert_eq!(
            moved,
            ["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"]
        );
    }

    #[test]
    fn amounts_and_blocks_are_checked() {
        for (node, expected) in [
            (json!({"status": {"capacity": {"cpu": "1500m", "memory": "1.5"}}}), vec![]),
            (
                json!({"status": {"capacity": {"cpu": "-1", "pods": "1500m"}, "allocatable": {}}}),
                vec![
                    "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
                    "status.capacity.pods: Invalid value: \"1500m\": must be an integer",
                ],
            ),
            (
                json!({"spec": {"podCIDRs": ["10.0.0.0/24", "10.0.0.0/24"]}}),
                vec![
                    "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.0.0.0/24\"]: may specify no more than one CIDR for each IP family",
                    "spec.podCIDRs[1]: Duplicate value: \"10.0.0.0/24\"",
                ],
            ),
        ] {
            assert_eq!(faults(&Node, node.clone()), expected, "{node}");
        }
        let dropped = made(&Node, json!({"spec": {"configSource": {"configMap": {"name": "a"}}}}));
        assert!(dropped["spec"].get("configSource").is_none());
    }

    #[test]
    fn what_an_update_may_not_touch() {
        let old = json!({"spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24", "fd00::/64"], "providerID": "a"}});
        let cidrs = "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid";
        for (spec, expected) in [
            (
                json!({"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd01::/64"], "providerID": "a"}),
                vec![cidrs, cidrs],
            ),
            (json!({"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"], "providerID": "a"}), vec![cidrs]),
            (
                json!({"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24", "fd00::/64"], "providerID": "b", "externalID": "x"}),
                vec![
                    "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
                    "spec.externalID: Forbidden: may not be updated",
                ],
            ),
        ] {
            let found = update_faults(&Node, old.clone(), Part::Main, |new| new["spec"] = spec.clone());
            assert_eq!(found, expected, "{spec}");
        }
        // What isn't a block at all is refused of new nodes alone.
        assert!(
            update_faults(&Node, json!({}), Part::Main, |new| new["spec"] = json!({"podCIDR": "x"}))
                .is_empty()
        );
    }

    #[test]
    fn old_fields_and_odd_blocks_are_told() {
        let node = json!({"spec": {"externalID": "x", "podCIDRs": ["10.0.0.1/24"]}});
        assert_eq!(
            Node.warnings(&node, None),
            [
                "spec.externalID: this field is deprecated, and is unused by Kubernetes",
                "spec.podCIDRs[0]: CIDR value \"10.0.0.1/24\" is ambiguous in this context (should be \"10.0.0.0/24\" or \"10.0.0.1/32\"?)",
            ]
        );
    }
}
