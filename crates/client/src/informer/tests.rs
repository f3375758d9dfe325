use std::sync::Arc;
use std::time::Duration;

use cox_api::{Reason, Status, Verb};
use cox_env::Env;
use futures::FutureExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;

use super::*;
use crate::fake::FakeApi;
use crate::kind::{Key, revision_of};
use crate::options::DeleteOptions;

fn world() -> (Env, FakeApi, SharedInformers) {
    let env = Env::simulated(1, "2026-01-01T00:00:00Z".parse().unwrap());
    let api = FakeApi::new(env.clone());
    let informers = SharedInformers::new(api.client(), env.clone());
    (env, api, informers)
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            namespace: Some("ns".into()),
            name: Some(name.into()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

fn names(reader: &Reader<ConfigMap>) -> Vec<String> {
    reader.list().iter().map(|object| object.metadata.name.clone().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_writer_sees_its_own_writes() {
    let (_, api, informers) = world();
    let reader = informers.of::<ConfigMap>();
    reader.synced().await;
    api.hold_watches();
    let written = api.client().create(&config_map("a")).await.unwrap();
    assert!(reader.get("ns", "a").is_none());
    let mut waiting = std::pin::pin!(reader.wait_until_seen(revision_of(&*written)));
    assert!(waiting.as_mut().now_or_never().is_none());
    api.release_watches();
    waiting.await;
    assert!(reader.get("ns", "a").is_some());
    assert!(Arc::ptr_eq(&reader.get("ns", "a").unwrap(), &reader.get("ns", "a").unwrap()));
}

#[tokio::test(start_paused = true)]
async fn expired_history_is_listed_anew_with_its_deletions() {
    let (env, api, informers) = world();
    api.put(&config_map("a"));
    api.put(&config_map("b"));
    let reader = informers.of::<ConfigMap>();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = seen.clone();
    reader.on_change(move |change| {
        let sign = match (&change.old, &change.new) {
            (None, _) => "+",
            (_, None) => "-",
            _ => "~",
        };
        log.lock().push(format!("{sign}{}", change.latest().metadata.name.as_deref().unwrap()));
    });
    reader.synced().await;
    api.hold_watches();
    api.remove::<ConfigMap>("ns", "a");
    api.put(&config_map("c"));
    api.break_watches(true);
    env.sleep(Duration::from_secs(60)).await;
    assert_eq!(names(&reader), ["b", "c"]);
    assert_eq!(*seen.lock(), ["+a", "+b", "-a", "+c"]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_goes_on_where_it_was() {
    let (_, api, informers) = world();
    let reader = informers.of::<ConfigMap>();
    reader.synced().await;
    api.break_watches(false);
    let written = api.client().create(&config_map("a")).await.unwrap();
    reader.wait_until_seen(revision_of(&*written)).await;
    assert_eq!(names(&reader), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn servers_without_streaming_lists_are_listed() {
    let (_, api, informers) = world();
    api.fault(|request| {
        (request.verb == Verb::Watch && request.options.send_initial_events.is_some())
            .then(|| Status::new(422, Reason::Invalid, "sendInitialEvents is forbidden for watch"))
    });
    api.put(&config_map("a"));
    let reader = informers.of::<ConfigMap>();
    reader.synced().await;
    assert_eq!(names(&reader), ["a"]);
    let written = api.client().create(&config_map("b")).await.unwrap();
    reader.wait_until_seen(revision_of(&*written)).await;
    assert_eq!(names(&reader), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_server_is_tried_again() {
    let (env, api, informers) = world();
    let tries = Arc::new(Mutex::new(0));
    let counted = tries.clone();
    api.fault(move |_| {
        *counted.lock() += 1;
        Some(Status::new(503, Reason::ServiceUnavailable, "down"))
    });
    let reader = informers.of::<ConfigMap>();
    env.sleep(Duration::from_secs(60)).await;
    assert!((5..20).contains(&*tries.lock()), "{} tries in a minute", tries.lock());
    assert!(!reader.is_synced());
    api.heal();
    reader.synced().await;
}

#[tokio::test(start_paused = true)]
async fn subscriptions_join_changes_and_split_replacements() {
    let (_, api, informers) = world();
    let reader = informers.of::<ConfigMap>();
    api.put(&config_map("a"));
    reader.synced().await;
    let mut changes = reader.subscribe();
    let first = changes.next().await;
    assert!(first.old.is_none() && first.new.is_some());
    let client = api.client();
    client.delete::<ConfigMap>("ns", "a", &DeleteOptions::default()).await.unwrap();
    let again = client.create(&config_map("a")).await.unwrap();
    reader.wait_until_seen(revision_of(&*again)).await;
    let gone = changes.next().await;
    assert!(gone.new.is_none());
    let fresh = changes.next().await;
    assert!(fresh.old.is_none());
    assert_ne!(gone.latest().metadata.uid, fresh.latest().metadata.uid);
    assert!(changes.try_next().is_none());
}

#[tokio::test(start_paused = true)]
async fn scoped_informers_lose_what_leaves_their_scope() {
    let (_, api, informers) = world();
    let pod = |node: &str| -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"namespace": "ns", "name": "p"},
            "spec": {"nodeName": node, "containers": []}}))
        .unwrap()
    };
    api.put(&pod("n1"));
    let (here, all) = (informers.scoped::<Pod>(Scope::on_node("n1")), informers.of::<Pod>());
    informers.synced().await;
    assert_eq!((here.len(), all.on_node("n1").len()), (1, 1));
    api.edit::<Pod>("ns", "p", |pod| pod.spec.as_mut().unwrap().node_name = Some("n2".into()));
    here.wait_for(&Key::new("ns", "p"), |pod| pod.is_none()).await;
    all.wait_for(&Key::new("ns", "p"), |pod| {
        pod.is_some_and(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some("n2"))
    })
    .await;
    assert_eq!((all.on_node("n1").len(), all.on_node("n2").len()), (0, 1));
}
