//! The FlowSchemas and PriorityLevelConfigurations that every cluster has.
//! Source: <https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#defaults>, KEP-1040, and the
//! objects that upstream's API server makes at start.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// The name of the level whose requests aren't limited, and of the schema of the masters.
pub const EXEMPT: &str = "exempt";
/// The name of the level and of the schema of whatever nothing else is for.
pub const CATCH_ALL: &str = "catch-all";
/// The annotation that says whether an object is kept at the spec that it has here.
pub const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// An object that every cluster has.
#[derive(Debug)]
pub struct BuiltIn {
    /// Whether its spec can't be changed. What isn't mandatory is suggested.
    pub mandatory: bool,
    /// The whole object, as it is made.
    pub object: Value,
}

impl BuiltIn {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }
}

/// The levels, suggested ones first, as upstream makes them.
pub fn levels() -> &'static [BuiltIn] {
    static LEVELS: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| {
        let queues = |queues: i64, hand: i64| json!({"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": 50}});
        let limited = |name: &str, mandatory: bool, shares: i64, lendable: i64, response: Value| {
            let spec = json!({"type": "Limited", "limited":
                {"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable}});
            object("PriorityLevelConfiguration", name, mandatory, spec)
        };
        let exempt =
            json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
        vec![
            limited("system", false, 30, 33, queues(64, 6)),
            limited("node-high", false, 40, 25, queues(64, 6)),
            limited("leader-election", false, 10, 0, queues(16, 4)),
            limited("workload-high", false, 40, 50, queues(128, 6)),
            limited("workload-low", false, 100, 90, queues(128, 6)),
            limited("global-default", false, 20, 50, queues(128, 6)),
            limited(CATCH_ALL, true, 5, 0, json!({"type": "Reject"})),
            object("PriorityLevelConfiguration", EXEMPT, true, exempt),
        ]
    });
    &LEVELS
}

/// The schemas, suggested ones first.
pub fn schemas() -> &'static [BuiltIn] {
    static SCHEMAS: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| {
        const LEADERS: [&str; 3] = ["get", "create", "update"];
        let everybody = || groups(&["system:unauthenticated", "system:authenticated"]);
        let nodes = || groups(&["system:nodes"]);
        let system_accounts = || accounts(&["*"]);
        let elections = || json!([rule(&LEADERS, "coordination.k8s.io", &["leases"], false)]);
        let (by_user, by_namespace) = (Some("ByUser"), Some("ByNamespace"));
        let some = |subjects: Vec<Value>, rules: Value| json!({"subjects": subjects, "resourceRules": rules});
        let probes = json!({"subjects": everybody(),
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]});
        let node_rules = json!([
            rule(&["*"], "", &["nodes", "nodes/status"], true),
            rule(&["*"], "coordination.k8s.io", &["leases"], false)
        ]);
        let endpoints = json!([rule(&LEADERS, "", &["endpoints"], false)]);
        let (manager, scheduler) = ("system:kube-controller-manager", "system:kube-scheduler");
        let both = |mut users: Vec<Value>, accounts: Vec<Value>| {
            users.extend(accounts);
            users
        };
        vec![
            schema("system-nodes", "system", 500, by_user, everything(nodes())),
            schema("system-node-high", "node-high", 400, by_user, some(nodes(), node_rules)),
            schema("probes", EXEMPT, 2, None, probes),
            schema(
                "system-leader-election",
                "leader-election",
                100,
                by_user,
                some(both(users(&[manager, scheduler]), system_accounts()), elections()),
            ),
            schema(
                "workload-leader-election",
                "leader-election",
                200,
                by_user,
                some(system_accounts(), elections()),
            ),
            schema(
                "endpoint-controller",
                "workload-high",
                150,
                by_user,
                some(
                    both(
                        users(&[manager]),
                        accounts(&["endpoint-controller", "endpointslicemirroring-controller"]),
                    ),
                    endpoints,
                ),
            ),
            schema(
                "kube-controller-manager",
                "workload-high",
                800,
                by_namespace,
                everything(users(&[manager])),
            ),
            schema("kube-scheduler", "workload-high", 800, by_namespace, everything(users(&[scheduler]))),
            schema(
                "kube-system-service-accounts",
                "workload-high",
                900,
                by_namespace,
                everything(system_accounts()),
            ),
            schema(
                "service-accounts",
                "workload-low",
                9000,
                by_user,
                everything(groups(&["system:serviceaccounts"])),
            ),
            schema("global-default", "global-default", 9900, by_user, everything(everybody())),
            schema(EXEMPT, EXEMPT, 1, None, everything(groups(&["system:masters"]))),
            schema(CATCH_ALL, CATCH_ALL, 10_000, by_user, everything(everybody())),
        ]
    });
    &SCHEMAS
}

/// The spec that an object of this name has to have, among these.
pub(crate) fn mandatory_spec(all: &'static [BuiltIn], name: &str) -> Option<&'static Value> {
    all.iter().find(|one| one.mandatory && one.name() == name).map(|one| &one.object["spec"])
}

fn object(kind: &str, name: &str, mandatory: bool, spec: Value) -> BuiltIn {
    let object = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": kind,
        "metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}}, "spec": spec});
    BuiltIn { mandatory, object }
}

fn schema(name: &str, level: &str, precedence: i64, distinguisher: Option<&str>, rules: Value) -> BuiltIn {
    let mut spec = json!({"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence,
        "rules": [rules]});
    if let Some(method) = distinguisher {
        spec["distinguisherMethod"] = json!({"type": method});
    }
    object("FlowSchema", name, matches!(name, EXEMPT | CATCH_ALL), spec)
}

/// Whatever these subjects ask for.
fn everything(subjects: Vec<Value>) -> Value {
    json!({"subjects": subjects,
        "resourceRules": [rule(&["*"], "*", &["*"], true)],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]})
}

/// A rule for resources in all namespaces.
fn rule(verbs: &[&str], group: &str, resources: &[&str], cluster: bool) -> Value {
    let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ["*"]});
    if cluster {
        rule["clusterScope"] = true.into();
    }
    rule
}

fn groups(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"kind": "Group", "group": {"name": name}})).collect()
}

fn users(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"kind": "User", "user": {"name": name}})).collect()
}

/// Service accounts of the control plane's namespace.
fn accounts(names: &[&str]) -> Vec<Value> {
    let account = |name: &&str| {
        json!({"kind": "ServiceAccount",
        "serviceAccount": {"namespace": "kube-system", "name": name}})
    };
    names.iter().map(account).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kinds, meta, schema};

    #[test]
    fn they_keep_the_rules_of_their_kinds_and_are_what_they_become() {
        for one in levels().iter().chain(schemas()) {
            let name = one.object["kind"].as_str().unwrap();
            let kind = kinds::by_kind("flowcontrol.apiserver.k8s.io", "v1", name).unwrap();
            let mut made = one.object.clone();
            kind.set_defaults(&mut made);
            schema::normalize(kind.info().type_id(), &mut made);
            assert_eq!(made["spec"], one.object["spec"], "{}: defaults add nothing", one.name());
            assert!(meta::check_create(kind, &made).is_empty(), "{}", one.name());
        }
    }

    #[test]
    fn every_schema_has_its_level() {
        for schema in schemas() {
            let level = &schema.object["spec"]["priorityLevelConfiguration"]["name"];
            assert!(levels().iter().any(|known| known.name() == level), "{}", schema.name());
        }
    }
}
