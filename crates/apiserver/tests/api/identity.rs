//! Who may do what, and tokens.

use cox_api::{Body, Request, Transport, Verb};
use cox_apiserver::User;
use serde_json::json;

use crate::support::{World, pod, resource, value};

#[tokio::test]
async fn a_binding_counts_at_once_and_until_it_is_gone() {
    let world = World::new().await;
    let jane = world.as_user(User::new("jane", &[]));
    let list = || Request::new(Verb::List, resource("configmaps")).namespace("n");
    let refused = jane.call(list()).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"n\""
    );
    let rbac = |plural: &str| format!("rbac.authorization.k8s.io/{plural}");
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]);
    world.create(&rbac("roles"), "n", json!({"metadata": {"name": "r"}, "rules": rules})).await.unwrap();
    let binding = json!({"metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}]});
    world.create(&rbac("rolebindings"), "n", binding).await.unwrap();
    jane.call(list()).await.unwrap();
    world.delete(&rbac("rolebindings"), "n", "b", json!({})).await.unwrap();
    assert_eq!(jane.call(list()).await.unwrap_err().code(), 403);
}

#[tokio::test]
async fn nobody_grants_what_they_lack() {
    let world = World::new().await;
    let maker = json!({"metadata": {"name": "maker"}, "rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}]});
    world.create("rbac.authorization.k8s.io/roles", "n", maker).await.unwrap();
    let binding = json!({"metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "maker"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "makers"}]});
    world.create("rbac.authorization.k8s.io/rolebindings", "n", binding).await.unwrap();
    let user = world.as_user(User::new("m", &["makers"]));
    let more = json!({"metadata": {"name": "more"}, "rules": [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]});
    let request = Request::new(Verb::Create, resource("rbac.authorization.k8s.io/roles")).namespace("n");
    let refused = user.call(request.body(Body::Json(more))).await.unwrap_err();
    assert!(
        refused.message().contains("is attempting to grant RBAC permissions not currently held"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_node_reads_what_its_pods_refer_to() {
    let world = World::new().await;
    for name in ["used", "unused"] {
        world.create("secrets", "n", json!({"metadata": {"name": name}})).await.unwrap();
    }
    let mut mine = pod("p");
    mine["spec"]["nodeName"] = "a".into();
    mine["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": "used"}}]);
    world.create("pods", "n", mine).await.unwrap();
    let node = world.as_user(User::node("a"));
    let get = |name: &str| Request::new(Verb::Get, resource("secrets")).namespace("n").name(name);
    node.call(get("used")).await.unwrap();
    assert!(node.call(get("unused")).await.unwrap_err().message().ends_with("this object"));
    assert_eq!(world.as_user(User::node("b")).call(get("used")).await.unwrap_err().code(), 403);
}

#[tokio::test]
async fn a_token_is_good_as_long_as_its_pod() {
    let world = World::new().await;
    let mut bound = pod("p");
    bound["spec"]["nodeName"] = "node".into();
    world.create("pods", "n", bound).await.unwrap();
    let request = Request::new(Verb::Create, resource("serviceaccounts"))
        .namespace("n")
        .name("default")
        .subresource("token")
        .body(Body::Json(
            json!({"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}}),
        ));
    let token = value(world.call(request).await.unwrap())["status"]["token"].as_str().unwrap().to_owned();
    let verify =
        |audience: Option<&[String]>| world.server.tokens().verify(&token, audience).map(|v| v.unwrap());
    let user = verify(None).unwrap().user;
    assert_eq!(user.name, "system:serviceaccount:n:default");
    assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
    assert!(verify(Some(&["elsewhere".to_owned()])).is_err());
    // A changed signature is no signature.
    let mut forged = token.clone().into_bytes();
    let at = forged.len() - 10;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    assert!(!matches!(world.server.tokens().verify(&forged, None), Ok(Some(_))));
    world.delete("pods", "n", "p", json!({"gracePeriodSeconds": 0})).await.unwrap();
    assert!(world.server.tokens().verify(&token, None).is_err());
}

#[tokio::test]
async fn default_roles_come_back_after_a_restart() {
    let world = World::new().await;
    let name = "system:kube-scheduler";
    let roles = "rbac.authorization.k8s.io/clusterroles";
    let complete = world.get(roles, "", name).await.unwrap()["rules"].clone();
    world.merge(roles, "", name, json!({"rules": []})).await.unwrap();
    let world = world.restarted().await;
    let rules = world.get(roles, "", name).await.unwrap()["rules"].clone();
    let count = |rules: &serde_json::Value| rules.as_array().map_or(0, Vec::len);
    assert!(count(&rules) > 0 && count(&complete) > 0);
    let scheduler = world.as_user(User::component(name));
    scheduler.call(Request::new(Verb::List, resource("nodes"))).await.unwrap();
}
