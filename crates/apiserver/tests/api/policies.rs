//! Policies in CEL.

use std::time::Duration;

use cox_api::{Body, Request, Status, Verb};
use cox_apiserver::{AuditConfig, LogFile, Policy, User};
use serde_json::{Value, json};

use crate::support::{World, resource};
use crate::web::Web;

const POLICIES: &str = "admissionregistration.k8s.io/validatingadmissionpolicies";
const BINDINGS: &str = "admissionregistration.k8s.io/validatingadmissionpolicybindings";

/// A policy for configmaps that are made or changed, and a binding of the same name.
async fn enforce(world: &World, name: &str, spec: Value, binding: Value) {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]});
    let mut policy =
        json!({"metadata": {"name": name}, "spec": {"matchConstraints": {"resourceRules": [rule]}}});
    merge(&mut policy["spec"], spec);
    world.create(POLICIES, "", policy).await.unwrap();
    let mut object =
        json!({"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}});
    merge(&mut object["spec"], binding);
    world.create(BINDINGS, "", object).await.unwrap();
}

fn merge(into: &mut Value, changes: Value) {
    for (key, value) in changes.as_object().unwrap() {
        into[key] = value.clone();
    }
}

fn map(name: &str, data: Value) -> Value {
    json!({"metadata": {"name": name}, "data": data})
}

fn why<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    let status = outcome.unwrap_err();
    let message = status.message().to_owned();
    message.split_once(" denied request: ").map_or(message.clone(), |(_, why)| why.to_owned())
}

#[tokio::test]
async fn variables_conditions_and_messages() {
    let world = World::new().await;
    enforce(
        &world,
        "p",
        json!({
            "matchConditions": [{"name": "c", "expression": "!object.metadata.name.startsWith('free-')"}],
            "variables": [
                {"name": "data", "expression": "object.?data.orValue({})"},
                {"name": "size", "expression": "variables.data.size()"},
                {"name": "broken", "expression": "object.spec.nothing"},
            ],
            "validations": [
                {"expression": "variables.size < 3", "messageExpression": "'too many: ' + string(variables.size)"},
                {"expression": "!('bad' in variables.data)", "message": "no bad", "reason": "Forbidden"},
                {"expression": "variables.data.all(k, k != 'err') || variables.broken == 1"},
                {"expression": "request.userInfo.username == 'admin' || authorizer.requestResource.check('delete').allowed()"},
                {"expression": "namespaceObject.metadata.name == 'n'"},
                {"expression": "oldObject == null || oldObject.?data.a.orValue('') != 'fixed' || object.data.a == 'fixed'", "message": "a is fixed"},
            ],
        }),
        json!({}),
    )
    .await;
    let make = |name: &str, data: Value| world.create("configmaps", "n", map(name, data));
    make("ok", json!({"a": "fixed"})).await.unwrap();
    assert_eq!(why(make("x", json!({"a": "", "b": "", "c": ""})).await), "too many: 3");
    let refused = make("x", json!({"bad": ""})).await.unwrap_err();
    assert_eq!((refused.code(), why::<()>(Err(refused))), (403, "no bad".to_owned()));
    assert_eq!(
        why(make("x", json!({"err": ""})).await),
        "expression 'variables.data.all(k, k != 'err') || variables.broken == 1' resulted in error: composited variable \"broken\" fails to evaluate: no such key: spec"
    );
    make("free-x", json!({"bad": ""})).await.unwrap();
    assert_eq!(
        why(world.merge("configmaps", "n", "ok", json!({"data": {"a": "other"}})).await),
        "a is fixed"
    );
    let role = json!({"metadata": {"name": "maker"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}]});
    world.create("rbac.authorization.k8s.io/roles", "n", role).await.unwrap();
    let binding = json!({"metadata": {"name": "maker"}, "subjects": [{"kind": "User", "name": "jo", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": "maker", "apiGroup": "rbac.authorization.k8s.io"}});
    world.create("rbac.authorization.k8s.io/rolebindings", "n", binding).await.unwrap();
    let request = Request::new(Verb::Create, resource("configmaps"))
        .namespace("n")
        .body(Body::Json(map("jo", json!({}))));
    let refused = cox_api::Transport::call(&world.as_user(User::new("jo", &[])), request).await;
    assert!(why(refused).starts_with("failed expression: request.userInfo.username"));
}

#[tokio::test]
async fn parameters() {
    let world = World::new().await;
    let kind = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "c", "expression": "!('limits' in object.?metadata.labels.orValue({}))"}],
        "validations": [{"expression": "object.?data.size.orValue('0') <= params.data.max", "messageExpression": "'more than ' + params.data.max"}]});
    let limits = |name: &str, max: &str| json!({"metadata": {"name": name, "labels": {"limits": "yes"}}, "data": {"max": max}});
    let name = json!({"paramRef": {"name": "limits", "namespace": "n", "parameterNotFoundAction": "Deny"}});
    enforce(&world, "p", kind.clone(), name).await;
    let make = |size: &str| world.create("configmaps", "n", map("m", json!({"size": size})));
    assert_eq!(
        why(make("1").await),
        "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    );
    world.delete(BINDINGS, "", "p", json!({})).await.unwrap();
    world.create("configmaps", "n", limits("limits", "5")).await.unwrap();
    let by_label = json!({"metadata": {"name": "p"}, "spec": {"policyName": "p", "validationActions": ["Deny"],
        "paramRef": {"selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Allow"}}});
    world.create(BINDINGS, "", by_label).await.unwrap();
    assert_eq!(why(make("7").await), "more than 5");
    world.create("configmaps", "n", limits("stricter", "3")).await.unwrap();
    assert_eq!(why(make("4").await), "more than 3");
    make("2").await.unwrap();
    // A kind of parameters that nobody serves.
    let unknown =
        json!({"paramKind": {"apiVersion": "x.io/v1", "kind": "X"}, "validations": [{"expression": "true"}]});
    enforce(&world, "u", unknown, json!({})).await;
    assert_eq!(
        why(make("1").await),
        "failed to configure policy: failed to find resource referenced by paramKind: 'x.io/v1, Kind=X'"
    );
}

#[tokio::test]
async fn a_policy_whose_failures_do_not_count() {
    let world = World::new().await;
    let spec = json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.none.x == 1"}, {"expression": "object.metadata.name != 'bad'"}]});
    enforce(&world, "p", spec, json!({})).await;
    world.create("configmaps", "n", map("good", json!({}))).await.unwrap();
    assert_eq!(
        why(world.create("configmaps", "n", map("bad", json!({}))).await),
        "failed expression: object.metadata.name != 'bad'"
    );
    // Without its binding a policy is nothing but an object.
    world.delete(BINDINGS, "", "p", json!({})).await.unwrap();
    world.create("configmaps", "n", map("bad", json!({}))).await.unwrap();
}

#[tokio::test]
async fn warnings_and_the_audit_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let file = LogFile { path: path.clone(), bytes_max: 1 << 30, backups_max: 0, age_max: Duration::ZERO };
    let policy =
        Policy::parse("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n").unwrap();
    let web = Web::with(|config| config.audit = Some(AuditConfig { policy, file })).await;
    let spec = json!({"validations": [{"expression": "false", "message": "mind"}],
        "auditAnnotations": [{"key": "who", "valueExpression": "'made by ' + request.userInfo.username"}, {"key": "none", "valueExpression": "null"}]});
    enforce(&web.world, "p", spec, json!({"validationActions": ["Warn", "Audit"]})).await;
    let headers = [("audit-id", "mine")];
    let (code, _, body) =
        web.call("POST", "/api/v1/namespaces/n/configmaps", &headers, map("m", json!({})).to_string()).await;
    assert_eq!(code, 201, "{body}");
    let event = loop {
        let text = std::fs::read_to_string(&path).unwrap();
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(event) =
            events.into_iter().find(|e| e["auditID"] == "mine" && e["stage"] == "ResponseComplete")
        {
            break event;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(event["annotations"]["p/who"], "made by admin");
    assert_eq!(event["annotations"].get("p/none"), None);
    let failure: Value = serde_json::from_str(
        event["annotations"]["validation.policy.admission.k8s.io/validation_failure"].as_str().unwrap(),
    )
    .unwrap();
    assert_eq!(
        failure,
        json!([{"message": "mind", "policy": "p", "binding": "p", "expressionIndex": 0, "validationActions": ["Warn", "Audit"]}])
    );
}

#[tokio::test]
async fn costs_have_a_limit() {
    let world = World::new().await;
    let spec = json!({"validations": [{"expression": "object.data.all(a, object.data.all(b, object.data.all(c, a + b + c != 'x')))"}]});
    enforce(&world, "p", spec, json!({})).await;
    let data: serde_json::Map<String, Value> = (0..200).map(|i| (format!("key-{i}"), "v".into())).collect();
    let refused = why(world.create("configmaps", "n", map("m", data.into())).await);
    assert!(
        refused.ends_with("resulted in error: operation cancelled: actual cost limit exceeded"),
        "{refused}"
    );
}

const MUTATING: &str = "admissionregistration.k8s.io/mutatingadmissionpolicies";
const MUTATING_BINDINGS: &str = "admissionregistration.k8s.io/mutatingadmissionpolicybindings";

/// A mutating policy for a resource, and a binding of the same name.
async fn mutate(world: &World, name: &str, what: (&str, &str), spec: Value) {
    let rule = json!({"apiGroups": [what.0], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [what.1]});
    let mut policy =
        json!({"metadata": {"name": name}, "spec": {"matchConstraints": {"resourceRules": [rule]}}});
    merge(&mut policy["spec"], spec);
    world.create(MUTATING, "", policy).await.unwrap();
    let binding = json!({"metadata": {"name": name}, "spec": {"policyName": name}});
    world.create(MUTATING_BINDINGS, "", binding).await.unwrap();
}

fn patch(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

fn apply(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

#[tokio::test]
async fn policies_that_change_objects() {
    let world = World::new().await;
    mutate(
        &world,
        "side",
        ("", "pods"),
        json!({
            "matchConditions": [{"name": "once", "expression": "!object.spec.containers.exists(c, c.name == 'side')"}],
            "variables": [{"name": "image", "expression": "'img-of-' + object.metadata.name"}],
            "reinvocationPolicy": "IfNeeded",
            "mutations": [
                apply("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'side', image: variables.image}]}}"),
                patch("[JSONPatch{op: 'add', path: '/metadata/labels', value: {'containers': string(size(object.spec.containers))}}]"),
            ],
        }),
    )
    .await;
    let made = world.create("pods", "n", crate::support::pod("p")).await.unwrap();
    // Containers stand in the order of the configuration first, as server-side apply puts them.
    let side = made["spec"]["containers"].as_array().unwrap().iter().find(|c| c["name"] == "side").unwrap();
    assert_eq!((&side["image"], &side["terminationMessagePolicy"]), (&json!("img-of-p"), &json!("File")));
    assert!(side["volumeMounts"].is_array(), "what is built in has looked at it");
    // The second mutation saw what the first had made.
    assert_eq!(made["metadata"]["labels"], json!({"containers": "2"}));
}

#[tokio::test]
async fn patches_tests_and_failures() {
    let world = World::new().await;
    mutate(
        &world,
        "p",
        ("", "configmaps"),
        json!({"mutations": [
            patch("has(object.data.a) ? [JSONPatch{op: 'test', path: '/data/a', value: 'x'}, JSONPatch{op: 'replace', path: '/data/a', value: 'y'}] : []"),
            patch("object.metadata.name == 'key' ? [JSONPatch{op: 'add', path: '/metadata/annotations', value: Object.metadata.annotations{}}, JSONPatch{op: 'add', path: '/metadata/annotations/' + jsonpatch.escapeKey('a.io/b'), value: 'v'}] : []"),
            patch("object.metadata.name == 'broken' ? [JSONPatch{op: 'remove', path: '/data/none'}] : []"),
        ]}),
    )
    .await;
    let data = |name: &'static str, value: &'static str| {
        let world = &world;
        async move { world.create("configmaps", "n", map(name, json!({"a": value}))).await }
    };
    assert_eq!(data("one", "x").await.unwrap()["data"], json!({"a": "y"}));
    assert_eq!(data("two", "z").await.unwrap()["data"], json!({"a": "z"}));
    world.delete("configmaps", "n", "one", json!({})).await.unwrap();
    let refused = data("broken", "x").await.unwrap_err();
    assert_eq!(refused.code(), 403);
    assert!(
        refused.message().starts_with("policy 'p' with binding 'p' denied request: JSONPath: "),
        "{refused}"
    );
    // Its failures don't count any more.
    world.merge(MUTATING, "", "p", json!({"spec": {"failurePolicy": "Ignore"}})).await.unwrap();
    assert_eq!(data("broken", "x").await.unwrap()["data"], json!({"a": "y"}));
    assert_eq!(data("key", "x").await.unwrap()["metadata"]["annotations"], json!({"a.io/b": "v"}));
}

#[tokio::test]
async fn mutating_policies_are_checked() {
    let world = World::new().await;
    let rule =
        json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let policy = |mutations: Value| json!({"metadata": {"name": "p"}, "spec": {"matchConstraints": {"resourceRules": [rule]}, "mutations": mutations}});
    let faults = |mutations: Value| {
        let policy = policy(mutations);
        async { world.create(MUTATING, "", policy).await.unwrap_err().message().to_owned() }
    };
    for (mutations, fault) in [
        (json!([]), "spec.mutations: Required value: mutations must contain at least one item"),
        (
            json!([{"patchType": "X"}]),
            "spec.mutations[0].patchType: Unsupported value: \"X\": supported values: \"ApplyConfiguration\", \"JSONPatch\"",
        ),
        (
            json!([{"patchType": "JSONPatch"}]),
            "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
        ),
        (
            json!([apply("{'a': 1}")]),
            "spec.mutations[0].applyConfiguration.expression: Invalid value: \"{'a': 1}\": must evaluate to Object but got map(string, int)",
        ),
        (
            json!([patch("[1]")]),
            "spec.mutations[0].jsonPatch.expression: Invalid value: \"[1]\": must evaluate to list(JSONPatch) but got list(int)",
        ),
    ] {
        let found = faults(mutations).await;
        assert!(found.ends_with(fault), "{found}");
    }
    // What is set as a whole can't be set by an apply configuration.
    mutate(&world, "q", ("", "pods"), json!({"mutations": [apply("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'c', command: ['sh']}]}}")]})).await;
    assert_eq!(
        world.create("pods", "n", crate::support::pod("p")).await.unwrap_err().message(),
        "policy 'q' with binding 'q' denied request: error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].command"
    );
}
