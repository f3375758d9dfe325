//! Grace, finalizers, preconditions.

use cox_api::{Options, Reason};
use futures::StreamExt;
use serde_json::json;

use crate::support::{World, pod, shown};

#[tokio::test]
async fn a_finalizer_holds_an_object_until_it_is_gone() {
    let world = World::new().await;
    world
        .create("configmaps", "n", json!({"metadata": {"name": "a", "finalizers": ["x.io/f"]}}))
        .await
        .unwrap();
    let marked = world.delete("configmaps", "n", "a", json!({})).await.unwrap();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let again = world.delete("configmaps", "n", "a", json!({})).await.unwrap();
    assert_eq!(again["metadata"]["resourceVersion"], marked["metadata"]["resourceVersion"]);
    world.merge("configmaps", "n", "a", json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert!(world.get("configmaps", "n", "a").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_running_pod_has_its_grace_which_can_be_shortened() {
    let world = World::new().await;
    let mut bound = pod("p");
    bound["spec"]["nodeName"] = "node".into();
    world.create("pods", "n", bound).await.unwrap();
    let grace = |pod: &serde_json::Value| pod["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let marked = world.delete("pods", "n", "p", json!({})).await.unwrap();
    assert_eq!(grace(&marked), Some(30));
    let longer = world.delete("pods", "n", "p", json!({"gracePeriodSeconds": 60})).await.unwrap();
    assert_eq!(grace(&longer), Some(30));
    let shorter = world.delete("pods", "n", "p", json!({"gracePeriodSeconds": 5})).await.unwrap();
    assert_eq!(grace(&shorter), Some(5));
    world.delete("pods", "n", "p", json!({"gracePeriodSeconds": 0})).await.unwrap();
    assert!(world.get("pods", "n", "p").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn watchers_see_a_pod_marked_before_it_goes() {
    let world = World::new().await;
    let before = world.list("pods", "n", Options::default()).await.unwrap().revision;
    world.create("pods", "n", pod("p")).await.unwrap();
    world.delete("pods", "n", "p", json!({})).await.unwrap();
    let options = Options { resource_version: Some(before.to_string()), ..Options::default() };
    let watch = world.watch("pods", "n", options).await.unwrap();
    let events: Vec<String> = watch.take(3).map(|event| shown(&event.unwrap())).collect().await;
    assert_eq!(events, ["ADDED p", "MODIFIED p", "DELETED p"]);
}

#[tokio::test]
async fn preconditions_hold_or_nothing_happens() {
    let world = World::new().await;
    let made = world.create("configmaps", "n", json!({"metadata": {"name": "a"}})).await.unwrap();
    let wrong = world.delete("configmaps", "n", "a", json!({"preconditions": {"uid": "other"}})).await;
    assert_eq!(wrong.unwrap_err().reason(), Reason::Conflict);
    let right = json!({"preconditions": {"uid": made["metadata"]["uid"]}});
    world.delete("configmaps", "n", "a", right).await.unwrap();
}

#[tokio::test]
async fn an_eviction_asks_the_budget() {
    let world = World::new().await;
    let mut bound = pod("p");
    bound["metadata"]["labels"] = json!({"app": "a"});
    bound["spec"]["nodeName"] = "node".into();
    world.create("pods", "n", bound).await.unwrap();
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    world.merge("pods:status", "n", "p", status).await.unwrap();
    let budget = json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}}});
    world.create("policy/poddisruptionbudgets", "n", budget).await.unwrap();
    let evict = || async {
        let request = cox_api::Request::new(cox_api::Verb::Create, crate::support::resource("pods"))
            .namespace("n")
            .name("p")
            .subresource("eviction")
            .body(cox_api::Body::Json(json!({"metadata": {"name": "p"}})));
        world.call(request).await
    };
    assert_eq!(evict().await.unwrap_err().code(), 429);
    let allowed = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2,
        "desiredHealthy": 1, "expectedPods": 2}});
    world.merge("policy/poddisruptionbudgets:status", "n", "b", allowed).await.unwrap();
    evict().await.unwrap();
    let pod = world.get("pods", "n", "p").await.unwrap();
    assert_eq!(pod["status"]["conditions"][1]["reason"], "EvictionByEvictionAPI");
    assert!(pod["metadata"]["deletionTimestamp"].is_string());
    let budget = world.get("policy/poddisruptionbudgets", "n", "b").await.unwrap();
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    assert!(budget["status"]["disruptedPods"]["p"].is_string());
}
