//! `Node` of `v1`.

mod validate;

use super::common::resource_list;
use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column, wide};
use super::common::walk::{flag, get, get_mut, list, map, set, text, texts};
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, Part, Scope, Subresource};

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
        validate::pod_cidrs(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate::update(new, old, errors);
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
    use crate::kinds::common::testing::{made, update_faults};

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
}
