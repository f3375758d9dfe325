//! Three-way merges: what `kubectl apply` sends for a last applied, a new and a live configuration, and what has
//! to come out.
//! Source of the rules: <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/#merge-patch-calculation>
//! and the directives of
//! <https://git.k8s.io/community/contributors/devel/sig-api-machinery/strategic-merge-patch.md>.

use cox_api::patch::strategic;
use cox_api::schema::type_of;
use serde_json::{Value, json};

/// One apply.
struct Case {
    rule: &'static str,
    /// Group, version and kind.
    of: (&'static str, &'static str, &'static str),
    live: Value,
    /// What kubectl makes of the last and the new configuration.
    sent: Value,
    expected: Value,
}

fn containers(list: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": list}}}})
}

const DEPLOYMENT: (&str, &str, &str) = ("apps", "v1", "Deployment");
const SERVICE: (&str, &str, &str) = ("", "v1", "Service");
const POD: (&str, &str, &str) = ("", "v1", "Pod");
const ACCOUNT: (&str, &str, &str) = ("", "v1", "ServiceAccount");

fn cases() -> Vec<Case> {
    vec![
        Case {
            rule: "a field that went is deleted, one that others set stays",
            of: DEPLOYMENT,
            // Last {replicas: 2, minReadySeconds: 5}, new {minReadySeconds: 6}; a scaler set revisionHistoryLimit.
            live: json!({"spec": {"replicas": 2, "minReadySeconds": 5, "revisionHistoryLimit": 3}}),
            sent: json!({"spec": {"replicas": null, "minReadySeconds": 6}}),
            expected: json!({"spec": {"minReadySeconds": 6, "revisionHistoryLimit": 3}}),
        },
        Case {
            rule: "keys of a map come and go one by one",
            of: POD,
            live: json!({"metadata": {"labels": {"a": "1", "b": "2", "live": "x"}}}),
            sent: json!({"metadata": {"labels": {"a": null, "c": "3"}}}),
            expected: json!({"metadata": {"labels": {"b": "2", "live": "x", "c": "3"}}}),
        },
        Case {
            rule: "an element of a list by key changes where it is, injected ones stay behind",
            of: DEPLOYMENT,
            live: containers(
                json!([{"name": "app", "image": "v1", "env": [{"name": "A", "value": "1"}]}, {"name": "sidecar", "image": "s"}]),
            ),
            sent: containers(json!([{"name": "app", "image": "v2"}]))
                .with("/spec/template/spec", json!({"$setElementOrder/containers": [{"name": "app"}]})),
            expected: containers(
                json!([{"name": "app", "image": "v2", "env": [{"name": "A", "value": "1"}]}, {"name": "sidecar", "image": "s"}]),
            ),
        },
        Case {
            rule: "an element that went is deleted by its key",
            of: DEPLOYMENT,
            live: containers(
                json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "3"}]),
            ),
            sent: containers(json!([{"$patch": "delete", "name": "b"}])).with(
                "/spec/template/spec",
                json!({"$setElementOrder/containers": [{"name": "a"}, {"name": "c"}]}),
            ),
            expected: containers(json!([{"name": "a", "image": "1"}, {"name": "c", "image": "3"}])),
        },
        Case {
            rule: "the new order counts; an element that only the server has stays before what it was before",
            of: DEPLOYMENT,
            live: containers(json!([{"name": "a"}, {"name": "live"}, {"name": "b"}])),
            sent: containers(json!([{"name": "new"}])).with(
                "/spec/template/spec",
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "new"}, {"name": "a"}]}),
            ),
            expected: containers(json!([{"name": "live"}, {"name": "b"}, {"name": "new"}, {"name": "a"}])),
        },
        Case {
            rule: "a list of scalars with the merge strategy gains and loses elements",
            of: POD,
            live: json!({"metadata": {"finalizers": ["a/x", "b/x", "live/x"]}}),
            sent: json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/x"], "$setElementOrder/finalizers": ["b/x", "c/x"], "finalizers": ["c/x"]}}),
            expected: json!({"metadata": {"finalizers": ["b/x", "c/x", "live/x"]}}),
        },
        Case {
            rule: "a list without a strategy is replaced",
            of: DEPLOYMENT,
            live: containers(json!([{"name": "a", "command": ["sh", "-c", "old"], "args": ["1"]}])),
            sent: containers(json!([{"name": "a", "command": ["sh"]}])),
            expected: containers(json!([{"name": "a", "command": ["sh"], "args": ["1"]}])),
        },
        Case {
            rule: "of a union only the member that is named is retained: Recreate drops rollingUpdate",
            of: DEPLOYMENT,
            live: json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
            sent: json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
            expected: json!({"spec": {"strategy": {"type": "Recreate"}}}),
        },
        Case {
            rule: "a volume changes its source",
            of: POD,
            live: json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}, {"name": "token", "projected": {}}]}}),
            sent: json!({"spec": {"$setElementOrder/volumes": [{"name": "v"}],
                "volumes": [{"$retainKeys": ["name", "configMap"], "name": "v", "configMap": {"name": "m"}}]}}),
            expected: json!({"spec": {"volumes": [{"name": "v", "configMap": {"name": "m"}}, {"name": "token", "projected": {}}]}}),
        },
        Case {
            rule: "ports of a service merge by their port, what the server allocated stays",
            of: SERVICE,
            live: json!({"spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30000, "protocol": "TCP"}]}}),
            sent: json!({"spec": {"$setElementOrder/ports": [{"port": 80}, {"port": 443}], "ports": [{"port": 80, "targetPort": 9090}, {"port": 443}]}}),
            expected: json!({"spec": {"clusterIP": "10.0.0.1",
                "ports": [{"port": 80, "targetPort": 9090, "nodePort": 30000, "protocol": "TCP"}, {"port": 443}]}}),
        },
        Case {
            rule: "a map is replaced on demand",
            of: DEPLOYMENT,
            live: json!({"spec": {"selector": {"matchLabels": {"a": "1", "b": "2"}}}}),
            sent: json!({"spec": {"selector": {"matchLabels": {"$patch": "replace", "c": "3"}}}}),
            expected: json!({"spec": {"selector": {"matchLabels": {"c": "3"}}}}),
        },
        Case {
            rule: "a list by key is replaced on demand",
            of: ACCOUNT,
            live: json!({"secrets": [{"name": "a"}, {"name": "b"}], "imagePullSecrets": [{"name": "p"}]}),
            sent: json!({"secrets": [{"$patch": "replace"}, {"name": "c"}]}),
            expected: json!({"secrets": [{"name": "c"}], "imagePullSecrets": [{"name": "p"}]}),
        },
        Case {
            rule: "nothing changed: nothing but the order is sent",
            of: DEPLOYMENT,
            live: containers(json!([{"name": "a", "image": "1"}])),
            sent: json!({"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "a"}]}}}}),
            expected: containers(json!([{"name": "a", "image": "1"}])),
        },
        Case {
            rule: "a list that isn't there yet is made, without the directives of its making",
            of: POD,
            live: json!({"spec": {}}),
            sent: json!({"spec": {"$setElementOrder/containers": [{"name": "a"}],
                "containers": [{"name": "a", "ports": [{"containerPort": 1}]}, {"$patch": "delete", "name": "gone"}]}}),
            expected: json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1}]}]}}),
        },
    ]
}

/// Adds fields at a place.
trait With {
    fn with(self, place: &str, fields: Value) -> Value;
}

impl With for Value {
    fn with(mut self, place: &str, fields: Value) -> Value {
        let Value::Object(fields) = fields else { panic!("fields") };
        self.pointer_mut(place).and_then(Value::as_object_mut).expect("an object").extend(fields);
        self
    }
}

#[test]
fn three_way_merges_are_kubectls() {
    for Case { rule, of: (group, version, kind), live, sent, expected } in cases() {
        let of = type_of(group, version, kind).expect("a known kind");
        let merged =
            strategic(of, &live, &sent).unwrap_or_else(|error| panic!("{rule}: {}", error.message()));
        assert_eq!(merged, expected, "{rule}");
        assert_eq!(strategic(of, &merged, &sent).as_ref(), Ok(&expected), "{rule}, once more");
    }
}
