//! Objects come and go, change under their rules, and are listed in pages.

use cox_api::{Options, Reason};
use serde_json::json;

use crate::support::{World, names};

#[tokio::test]
async fn a_stale_write_is_refused_and_an_empty_one_writes_nothing() {
    let world = World::new().await;
    let made = world
        .create("configmaps", "n", json!({"metadata": {"name": "a"}, "data": {"k": "1"}}))
        .await
        .unwrap();
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "test");
    let mut newer = made.clone();
    newer["data"]["k"] = "2".into();
    let newer = world.put("configmaps", "n", newer).await.unwrap();
    let stale = world.put("configmaps", "n", made).await.unwrap_err();
    assert_eq!(stale.reason(), Reason::Conflict);
    let same = world.put("configmaps", "n", newer.clone()).await.unwrap();
    assert_eq!(same["metadata"]["resourceVersion"], newer["metadata"]["resourceVersion"]);
    let twice = world.create("configmaps", "n", json!({"metadata": {"name": "a"}})).await.unwrap_err();
    assert_eq!(twice.reason(), Reason::AlreadyExists);
}

#[tokio::test]
async fn patches_without_a_version_all_count() {
    let world = World::new().await;
    world.create("configmaps", "n", json!({"metadata": {"name": "a"}})).await.unwrap();
    let patches =
        (0..32).map(|at| world.merge("configmaps", "n", "a", json!({"data": {format!("k{at}"): "v"}})));
    for result in futures::future::join_all(patches).await {
        result.unwrap();
    }
    let data = world.get("configmaps", "n", "a").await.unwrap()["data"].clone();
    assert_eq!(data.as_object().unwrap().len(), 32);
}

#[tokio::test]
async fn pages_show_one_moment() {
    let world = World::new().await;
    for at in 0..7 {
        world.create("secrets", "n", json!({"metadata": {"name": format!("s{at}")}})).await.unwrap();
    }
    let first = world.list("secrets", "n", Options { limit: Some(3), ..Options::default() }).await.unwrap();
    assert_eq!((names(&first).join(" "), first.remaining), ("s0 s1 s2".into(), Some(4)));
    world.delete("secrets", "n", "s4", json!({})).await.unwrap();
    world.create("secrets", "n", json!({"metadata": {"name": "s9"}})).await.unwrap();
    let options = Options { continue_token: first.continue_token.clone(), ..Options::default() };
    let rest = world.list("secrets", "n", options).await.unwrap();
    assert_eq!(names(&rest).join(" "), "s3 s4 s5 s6");
    assert_eq!(rest.revision, first.revision);
    let now = world.list("secrets", "n", Options::default()).await.unwrap();
    assert_eq!(names(&now).join(" "), "s0 s1 s2 s3 s5 s6 s9");
}

#[tokio::test]
async fn a_dry_run_leaves_nothing() {
    let world = World::new().await;
    let mut request = cox_api::Request::new(cox_api::Verb::Create, crate::support::resource("configmaps"))
        .namespace("n")
        .body(cox_api::Body::Json(json!({"metadata": {"generateName": "a-"}})));
    request.options.dry_run = true;
    let made = crate::support::value(world.call(request).await.unwrap());
    assert!(made["metadata"]["name"].as_str().unwrap().starts_with("a-"));
    assert!(world.list("configmaps", "n", Options::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn events_are_one_thing_in_two_groups() {
    let world = World::new().await;
    let old = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "n"},
        "reason": "R", "message": "m", "type": "Normal"});
    world.create("events", "n", old).await.unwrap();
    let new = world.get("events.k8s.io/events", "n", "e").await.unwrap();
    assert_eq!(new["apiVersion"], "events.k8s.io/v1");
    assert_eq!((&new["note"], &new["regarding"]["name"]), (&json!("m"), &json!("p")));
}

#[tokio::test]
async fn nothing_is_made_in_a_namespace_that_goes() {
    let world = World::new().await;
    let gone = world.create("configmaps", "elsewhere", json!({"metadata": {"name": "a"}})).await.unwrap_err();
    assert_eq!(gone.message(), "namespaces \"elsewhere\" not found");
    world.delete("namespaces", "", "n", json!({})).await.unwrap();
    let status = world.create("configmaps", "n", json!({"metadata": {"name": "a"}})).await.unwrap_err();
    assert_eq!(
        status.message(),
        "configmaps \"a\" is forbidden: unable to create new content in namespace n because it is being terminated"
    );
    let kept = world.delete("namespaces", "", "kube-system", json!({})).await.unwrap_err();
    assert_eq!(kept.code(), 403);
}

#[tokio::test]
async fn a_pod_gets_what_admission_gives() {
    let world = World::new().await;
    let pod = world.create("pods", "n", crate::support::pod("p")).await.unwrap();
    let spec = &pod["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    assert_eq!(spec["priority"], 0);
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    let volume = spec["volumes"][0]["name"].as_str().unwrap();
    assert!(volume.starts_with("kube-api-access-"), "{volume}");
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], volume);
}
