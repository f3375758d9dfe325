//! Claims for devices: who may do what with them.

use cox_api::{Body, Options, PatchKind, Request, Transport, Verb};
use cox_apiserver::{LocalTransport, User};
use serde_json::{Value, json};

use crate::support::{World, pod, resource};

const CLAIMS: &str = "resource.k8s.io/resourceclaims";

fn claim(name: &str, asked: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {"devices": {"requests": [{"name": "r", "exactly": asked}]}}})
}

fn given() -> Value {
    json!({"allocation": {"devices": {"results": [{"request": "r", "driver": "d", "pool": "p", "device": "x"}]},
        "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [
            {"key": "metadata.name", "operator": "In", "values": ["a"]}]}]}}})
}

fn status(name: &str, status: Value) -> Request {
    Request::new(Verb::Patch, resource(CLAIMS))
        .namespace("n")
        .name(name)
        .subresource("status")
        .body(Body::Patch(PatchKind::Merge, json!({"status": status})))
}

/// A user with rights on resources of the group.
async fn user(world: &World, name: &str, rules: Value) -> LocalTransport {
    let rules: Vec<Value> = rules
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| json!({"apiGroups": ["resource.k8s.io"], "resources": rule["on"], "verbs": rule["do"]}))
        .collect();
    let rbac = |plural: &str| format!("rbac.authorization.k8s.io/{plural}");
    world
        .create(&rbac("clusterroles"), "", json!({"metadata": {"name": name}, "rules": rules}))
        .await
        .unwrap();
    let binding = json!({"metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}]});
    world.create(&rbac("clusterrolebindings"), "", binding).await.unwrap();
    world.as_user(User::new(name, &[]))
}

#[tokio::test]
async fn administrative_access_is_for_labelled_namespaces() {
    let world = World::new().await;
    let asked = json!({"deviceClassName": "c", "adminAccess": true});
    let template = json!({"metadata": {"name": "t"}, "spec": {"spec": claim("", asked.clone())["spec"]}});
    let refusal = "spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace";
    let refused = world.create(CLAIMS, "n", claim("c", asked.clone())).await.unwrap_err();
    assert_eq!(refused.message(), format!("ResourceClaim.resource.k8s.io \"c\" is invalid: {refusal}"));
    let templates = "resource.k8s.io/resourceclaimtemplates";
    let refused = world.create(templates, "n", template.clone()).await.unwrap_err();
    assert!(refused.message().ends_with(refusal), "{refused}");
    let mut admin = given();
    admin["allocation"]["devices"]["results"][0]["adminAccess"] = true.into();
    world.create(CLAIMS, "n", claim("plain", json!({"deviceClassName": "c"}))).await.unwrap();
    let refused = world.call(status("plain", admin)).await.unwrap_err();
    assert!(
        refused.message().contains("status.allocation.devices.results[0].adminAccess: Forbidden"),
        "{refused}"
    );
    let label = json!({"metadata": {"labels": {"resource.kubernetes.io/admin-access": "true"}}});
    world.merge("namespaces", "", "n", label).await.unwrap();
    world.create(CLAIMS, "n", claim("c", asked)).await.unwrap();
    world.create(templates, "n", template).await.unwrap();
}

#[tokio::test]
async fn giving_devices_and_speaking_of_them_are_rights_of_their_own() {
    let world = World::new().await;
    world.create(CLAIMS, "n", claim("c", json!({"deviceClassName": "c"}))).await.unwrap();
    let plain = json!([{"on": ["resourceclaims/status"], "do": ["patch"]}]);
    let refused = user(&world, "plain", plain).await.call(status("c", given())).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "ResourceClaim.resource.k8s.io \"c\" is invalid: status: Forbidden: changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"patch\" permission: resourceclaims.resource.k8s.io is forbidden: User \"plain\" cannot patch resource \"resourceclaims/binding\" in API group \"resource.k8s.io\" at the cluster scope"
    );
    let binder = json!([{"on": ["resourceclaims/status", "resourceclaims/binding"], "do": ["patch"]}]);
    user(&world, "binder", binder).await.call(status("c", given())).await.unwrap();

    let said = json!({"devices": [{"driver": "d", "pool": "p", "device": "x", "conditions": []}]});
    let refused = user(&world, "other", json!([{"on": ["resourceclaims/status"], "do": ["patch"]}]))
        .await
        .call(status("c", said.clone()))
        .await
        .unwrap_err();
    assert!(
        refused.message().contains(
            "status.devices: Forbidden: changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[arbitrary-node:patch]\" permission: resourceclaims.resource.k8s.io \"d\" is forbidden"
        ),
        "{refused}"
    );
    let rules = json!([{"on": ["resourceclaims/status"], "do": ["patch"]},
        {"on": ["resourceclaims/driver"], "do": ["associated-node:patch"]}]);
    let name = "system:serviceaccount:n:driver";
    user(&world, name, rules).await;
    let on = |node: &str| {
        let mut driver = User::service_account("n", "driver", "u");
        driver.extra.insert("authentication.kubernetes.io/node-name".into(), vec![node.into()]);
        world.as_user(driver)
    };
    assert!(on("b").call(status("c", said.clone())).await.is_err());
    on("a").call(status("c", said)).await.unwrap();
}

#[tokio::test]
async fn a_node_has_its_own_slices_and_the_claims_of_its_pods() {
    let world = World::new().await;
    let slices = "resource.k8s.io/resourceslices";
    let slice = |name: &str, node: &str| {
        json!({"metadata": {"name": name}, "spec": {"driver": "d", "nodeName": node,
            "pool": {"name": "p", "resourceSliceCount": 1}}})
    };
    let node = world.as_user(User::node("a"));
    let make = |object: Value| Request::new(Verb::Create, resource(slices)).body(Body::Json(object));
    node.call(make(slice("mine", "a"))).await.unwrap();
    let refused = node.call(make(slice("theirs", "b"))).await.unwrap_err();
    assert!(
        refused
            .message()
            .ends_with("can only create ResourceSlice with the same NodeName as the requesting node"),
        "{refused}"
    );
    world.create(slices, "", slice("theirs", "b")).await.unwrap();
    let get = |name: &str| Request::new(Verb::Get, resource(slices)).name(name);
    node.call(get("mine")).await.unwrap();
    assert_eq!(node.call(get("theirs")).await.unwrap_err().code(), 403);
    let list = |selector: Option<&str>| {
        let options = Options { field_selector: selector.map(str::to_owned), ..Options::default() };
        Request { options, ..Request::new(Verb::List, resource(slices)) }
    };
    node.call(list(Some("spec.nodeName=a"))).await.unwrap();
    assert!(
        node.call(list(None))
            .await
            .unwrap_err()
            .message()
            .ends_with("can only list/watch/deletecollection resourceslices with nodeName field selector")
    );

    for name in ["used", "unused"] {
        world.create(CLAIMS, "n", claim(name, json!({"deviceClassName": "c"}))).await.unwrap();
    }
    let mut mine = pod("p");
    mine["spec"]["nodeName"] = "a".into();
    mine["spec"]["resourceClaims"] = json!([{"name": "c", "resourceClaimName": "used"}]);
    world.create("pods", "n", mine).await.unwrap();
    let get = |name: &str| Request::new(Verb::Get, resource(CLAIMS)).namespace("n").name(name);
    node.call(get("used")).await.unwrap();
    assert_eq!(node.call(get("unused")).await.unwrap_err().code(), 403);
    let told = json!({"status": {"resourceClaimStatuses": [{"name": "c", "resourceClaimName": "unused"}]}});
    let request = Request::new(Verb::Patch, resource("pods")).namespace("n").name("p").subresource("status");
    let refused = node.call(request.body(Body::Patch(PatchKind::Merge, told))).await.unwrap_err();
    assert!(refused.message().ends_with("node \"a\" cannot update resource claim statues"), "{refused}");
}

#[tokio::test]
async fn a_quota_counts_devices_by_class() {
    let world = World::new().await;
    let key = "gpu.deviceclass.resource.k8s.io/devices";
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {key: "3"}}});
    world.create("resourcequotas", "n", quota).await.unwrap();
    let counted = json!({"status": {"hard": {key: "3"}, "used": {key: "0"}}});
    world.merge("resourcequotas:status", "n", "q", counted).await.unwrap();
    world.create(CLAIMS, "n", claim("a", json!({"deviceClassName": "gpu", "count": 2}))).await.unwrap();
    world.create(CLAIMS, "n", claim("b", json!({"deviceClassName": "nic", "count": 9}))).await.unwrap();
    let more = claim("c", json!({"deviceClassName": "gpu", "count": 2}));
    let refused = world.create(CLAIMS, "n", more).await.unwrap_err();
    assert!(
        refused
            .message()
            .ends_with(&format!("exceeded quota: q, requested: {key}=2, used: {key}=2, limited: {key}=3")),
        "{refused}"
    );
}
