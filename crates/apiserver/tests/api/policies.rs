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
