use cox_client::fake::FakeApi;
use cox_client::{DeleteOptions, Propagation};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use serde_json::{Value, json};

use super::run;
use crate::common::Context;
use crate::common::testing::{events, object, pass, world};

fn owner(kind: &str, api_version: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true,
        "blockOwnerDeletion": true})
}

fn metadata(name: &str, owners: Value) -> Value {
    json!({"metadata": {"namespace": "ns", "name": name, "uid": format!("uid-{name}"), "ownerReferences": owners}})
}

/// A Deployment that owns a ReplicaSet that owns a pod.
async fn chain() -> (FakeApi, Context) {
    let (api, context) = world();
    api.put::<Deployment>(&object(metadata("web", json!([]))));
    api.put::<ReplicaSet>(&object(metadata(
        "set",
        json!([owner("Deployment", "apps/v1", "web", "uid-web")]),
    )));
    api.put::<Pod>(&object(metadata("pod", json!([owner("ReplicaSet", "apps/v1", "set", "uid-set")]))));
    context.env.spawn(run(context.clone()));
    pass(&context, 1).await;
    assert_eq!(counts(&api), (1, 1, 1));
    (api, context)
}

fn counts(api: &FakeApi) -> (usize, usize, usize) {
    (api.all::<Deployment>().len(), api.all::<ReplicaSet>().len(), api.all::<Pod>().len())
}

async fn delete(context: &Context, propagation: Propagation) {
    let options = DeleteOptions::default().propagation(propagation);
    context.client.delete::<Deployment>("ns", "web", &options).await.unwrap();
    pass(context, 2).await;
}

#[tokio::test(start_paused = true)]
async fn background() {
    let (api, context) = chain().await;
    delete(&context, Propagation::Background).await;
    assert_eq!(counts(&api), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn foreground_waits_for_the_last_dependent() {
    let (api, context) = chain().await;
    api.edit::<Pod>("ns", "pod", |pod| pod.metadata.finalizers = Some(vec!["example.com/hold".into()]));
    delete(&context, Propagation::Foreground).await;
    assert_eq!(counts(&api), (1, 1, 1), "the pod holds them all");
    assert!(api.one::<Pod>("ns", "pod").unwrap().metadata.deletion_timestamp.is_some());
    api.remove::<Pod>("ns", "pod");
    pass(&context, 2).await;
    assert_eq!(counts(&api), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn orphans_stay() {
    let (api, context) = chain().await;
    delete(&context, Propagation::Orphan).await;
    assert_eq!(counts(&api), (0, 1, 1));
    let set = api.one::<ReplicaSet>("ns", "set").unwrap();
    assert!(set.metadata.owner_references.unwrap_or_default().is_empty());
}

#[tokio::test(start_paused = true)]
async fn absent_owners_are_noticed_at_any_time() {
    let (api, context) = chain().await;
    let gone = owner("ConfigMap", "v1", "gone", "no-such-uid");
    api.put::<ConfigMap>(&object(metadata("late", json!([gone]))));
    // An owner of the same name with another uid is another owner.
    let other = owner("Deployment", "apps/v1", "web", "older-uid");
    api.put::<ConfigMap>(&object(metadata("stale", json!([other]))));
    pass(&context, 1).await;
    assert!(api.all::<ConfigMap>().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_solid_owner_keeps_an_object_and_the_others_are_unlinked() {
    let (api, context) = chain().await;
    let owners =
        json!([owner("Deployment", "apps/v1", "web", "uid-web"), owner("ConfigMap", "v1", "x", "none")]);
    api.put::<ConfigMap>(&object(metadata("two", owners)));
    pass(&context, 1).await;
    let left = api.one::<ConfigMap>("ns", "two").unwrap().metadata.owner_references.unwrap();
    assert_eq!(left.iter().map(|owner| owner.uid.as_str()).collect::<Vec<_>>(), ["uid-web"]);
}

#[tokio::test(start_paused = true)]
async fn owners_in_other_namespaces_do_not_count() {
    let (api, context) = chain().await;
    api.put::<ConfigMap>(&object(json!({"metadata": {"namespace": "other", "name": "far", "uid": "far",
        "ownerReferences": [owner("Deployment", "apps/v1", "web", "uid-web")]}})));
    api.put::<Node>(&object(json!({"metadata": {"name": "n", "uid": "n",
        "ownerReferences": [owner("Deployment", "apps/v1", "web", "uid-none")]}})));
    // Whatever looks at it finds the owner absent in its namespace.
    api.edit::<ConfigMap>("other", "far", |map| {
        let mut more = map.metadata.owner_references.clone().unwrap();
        more.push(object_reference("none"));
        map.metadata.owner_references = Some(more);
    });
    pass(&context, 2).await;
    assert!(api.one::<ConfigMap>("other", "far").is_none());
    assert!(
        api.one::<Node>("", "n").is_some(),
        "a cluster-wide object with a namespaced owner is left alone"
    );
    assert!(
        events(&api)
            .iter()
            .any(|event| event.starts_with("OwnerRefInvalidNamespace: ownerRef [apps/v1/Deployment"))
    );
}

fn object_reference(uid: &str) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
    serde_json::from_value(owner("ConfigMap", "v1", "x", uid)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn circles_that_wait_for_each_other_end() {
    let (api, context) = world();
    let config = |name: &str, of: &str| -> ConfigMap {
        object(metadata(name, json!([owner("ConfigMap", "v1", of, &format!("uid-{of}"))])))
    };
    api.put(&config("a", "b"));
    api.put(&config("b", "a"));
    context.env.spawn(run(context.clone()));
    pass(&context, 1).await;
    let options = DeleteOptions::default().propagation(Propagation::Foreground);
    context.client.delete::<ConfigMap>("ns", "a", &options).await.unwrap();
    pass(&context, 60).await;
    assert!(api.all::<ConfigMap>().is_empty());
}
