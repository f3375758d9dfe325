//! Watches: selectors, streaming lists.

use cox_api::Options;
use futures::StreamExt;
use serde_json::json;

use crate::support::{World, shown};

#[tokio::test]
async fn objects_enter_and_leave_by_their_labels() {
    let world = World::new().await;
    let from = world.list("configmaps", "n", Options::default()).await.unwrap().revision;
    let label = |word: &str| json!({"metadata": {"labels": {"in": word}}});
    world
        .create("configmaps", "n", json!({"metadata": {"name": "a", "labels": {"in": "no"}}}))
        .await
        .unwrap();
    for word in ["yes", "no", "yes"] {
        world.merge("configmaps", "n", "a", label(word)).await.unwrap();
    }
    world.delete("configmaps", "n", "a", json!({})).await.unwrap();
    let options = Options {
        resource_version: Some(from.to_string()),
        label_selector: Some("in=yes".into()),
        ..Options::default()
    };
    let watch = world.watch("configmaps", "n", options).await.unwrap();
    let events: Vec<_> = watch.take(4).map(Result::unwrap).collect().await;
    let texts: Vec<String> = events.iter().map(shown).collect();
    assert_eq!(texts, ["ADDED a", "DELETED a", "ADDED a", "DELETED a"]);
    // The last form that was seen, at the revision of the event.
    let left = events[1].object.as_ref().unwrap();
    assert_eq!(left.header().labels.get("in").map(|word| &**word), Some("yes"));
    assert_eq!(left.revision(), events[1].revision);
}

#[tokio::test]
async fn a_streaming_list_ends_with_its_bookmark_and_goes_on() {
    let world = World::new().await;
    world.create("configmaps", "n", json!({"metadata": {"name": "a"}})).await.unwrap();
    let options = Options {
        send_initial_events: Some(true),
        resource_version_match: Some("NotOlderThan".into()),
        allow_watch_bookmarks: true,
        ..Options::default()
    };
    let mut watch = world.watch("configmaps", "n", options).await.unwrap();
    assert_eq!(shown(&watch.next().await.unwrap().unwrap()), "ADDED a");
    let bookmark = watch.next().await.unwrap().unwrap();
    assert!(bookmark.initial_events_end);
    world.create("configmaps", "n", json!({"metadata": {"name": "b"}})).await.unwrap();
    let event = watch.next().await.unwrap().unwrap();
    assert_eq!(shown(&event), "ADDED b");
    assert!(event.revision > bookmark.revision);
}

#[tokio::test]
async fn a_node_hears_of_its_pods_alone() {
    let world = World::new().await;
    let options = Options { field_selector: Some("spec.nodeName=mine".into()), ..Options::default() };
    let mut watch = world.watch("pods", "n", options).await.unwrap();
    for (name, node) in [("a", "other"), ("b", "mine")] {
        let mut pod = crate::support::pod(name);
        pod["spec"]["nodeName"] = node.into();
        world.create("pods", "n", pod).await.unwrap();
    }
    assert_eq!(shown(&watch.next().await.unwrap().unwrap()), "ADDED b");
}

#[tokio::test]
async fn a_start_that_is_forgotten_is_told_as_an_event() {
    let world = World::new().await;
    let from = world.list("configmaps", "n", Options::default()).await.unwrap().revision;
    world.create("configmaps", "n", json!({"metadata": {"name": "a"}})).await.unwrap();
    // Together more than the store keeps of the past.
    for round in ["1", "2", "3", "4", "5", "6"] {
        let data = json!({"data": {"large": round.repeat(900_000)}});
        world.merge("configmaps", "n", "a", data).await.unwrap();
    }
    let options = Options { resource_version: Some(from.to_string()), ..Options::default() };
    let mut watch = world.watch("configmaps", "n", options).await.unwrap();
    let status = watch.next().await.unwrap().unwrap_err();
    assert!(
        status.is_expired()
            && status.to_value()["message"].to_string().contains("too old resource version: ")
    );
    assert!(watch.next().await.is_none());
}
