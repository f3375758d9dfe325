//! Snapshots: now, page by page, and in the past.

use std::ops::Bound;

use cox_store::{Error, Expect, Limits, Snapshot, Store, Txn};

use crate::support::{Medium, key, number, pod};

async fn put(store: &Store, namespace: &str, name: &str, number: u64) -> u64 {
    let txn = Txn::put(key(namespace, name), Expect::Any, pod(namespace, name, number));
    store.commit(txn).await.expect("put").revision
}

async fn delete(store: &Store, namespace: &str, name: &str) -> u64 {
    store.commit(Txn::delete(key(namespace, name), Expect::Any)).await.expect("deleted").revision
}

fn contents(snapshot: &Snapshot) -> Vec<(String, u64)> {
    snapshot.iter().map(|(key, object)| (key.path().to_owned(), number(object))).collect()
}

pub async fn a_snapshot_stays_as_it_was(medium: &Medium) {
    let store = medium.open().await;
    assert!(store.snapshot("pods").is_empty());
    put(&store, "n", "a", 1).await;
    let revision = put(&store, "n", "b", 1).await;
    let snapshot = store.snapshot("pods");
    assert_eq!(snapshot.revision(), revision);
    put(&store, "n", "a", 2).await;
    delete(&store, "n", "b").await;
    assert_eq!(contents(&snapshot), [("n/a".into(), 1), ("n/b".into(), 1)]);
    assert_eq!(contents(&store.snapshot("pods")), [("n/a".into(), 2)]);
    assert_eq!(snapshot.get("n/b").map(number), Some(1));
}

pub async fn pages_are_consistent(medium: &Medium) {
    let store = medium.open().await;
    for at in 0..10 {
        put(&store, "n", &format!("p{at}"), 1).await;
    }
    let mut pages = Vec::new();
    let (mut revision, mut last) = (None, None::<String>);
    loop {
        let snapshot = match revision {
            None => store.snapshot("pods"),
            Some(revision) => store.snapshot_at("pods", revision).expect("it is retained or known"),
        };
        revision = Some(snapshot.revision());
        let start = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let page: Vec<(String, u64)> = snapshot
            .range(None, start)
            .take(3)
            .map(|(key, object)| (key.path().to_owned(), number(object)))
            .collect();
        let Some((end, _)) = page.last() else { break };
        last = Some(end.clone());
        pages.extend(page);
        store.retain(&snapshot);
        // What happens between the pages isn't in them.
        put(&store, "n", "p5", 2).await;
        delete(&store, "n", "p9").await;
        put(&store, "n", "p9", 3).await;
    }
    let expected: Vec<(String, u64)> = (0..10).map(|at| (format!("n/p{at}"), 1)).collect();
    assert_eq!(pages, expected);
}

pub async fn the_past_is_found_again(medium: &Medium) {
    let limits = Limits { window_events_max: 6, ..Limits::default() };
    let store = medium.open_with(limits).await;
    let mut known = Vec::new();
    for at in 0..12u64 {
        let name = format!("p{}", at % 3);
        let revision = if at % 4 == 3 && store.get(&key("n", &name)).is_some() {
            delete(&store, "n", &name).await
        } else {
            put(&store, "n", &name, at).await
        };
        known.push((revision, contents(&store.snapshot("pods"))));
    }
    let (old, recent) = known.split_at(5);
    for (revision, then) in recent {
        let snapshot = store.snapshot_at("pods", *revision).expect("it is recent");
        assert_eq!((snapshot.revision(), &contents(&snapshot)), (*revision, then));
    }
    for (revision, _) in old {
        let expired = store.snapshot_at("pods", *revision);
        assert!(matches!(expired, Err(Error::Expired { .. })), "{expired:?}");
    }
    let retained = store.snapshot("pods");
    store.retain(&retained);
    for at in 0..20 {
        put(&store, "n", "later", at).await;
    }
    let found = store.snapshot_at("pods", retained.revision()).expect("it is retained");
    assert_eq!(contents(&found), contents(&retained));
    let current = store.revision();
    let future = store.snapshot_at("pods", current + 1);
    assert!(matches!(future, Err(Error::NotYet { .. })), "{future:?}");
}

pub async fn ranges_follow_the_order_of_keys(medium: &Medium) {
    let store = medium.open().await;
    for (namespace, name) in [("a", "x"), ("a", "y"), ("a-b", "x"), ("b", "x"), ("b", "y")] {
        put(&store, namespace, name, 1).await;
    }
    let snapshot = store.snapshot("pods");
    let paths = |namespace: Option<&str>, start: Bound<&str>| -> Vec<String> {
        snapshot.range(namespace, start).map(|(key, _)| key.path().to_owned()).collect()
    };
    // '-' sorts before '/': the order of the whole keys, as upstream's.
    assert_eq!(paths(None, Bound::Unbounded), ["a-b/x", "a/x", "a/y", "b/x", "b/y"]);
    assert_eq!(paths(Some("a"), Bound::Unbounded), ["a/x", "a/y"]);
    assert_eq!(paths(Some("a"), Bound::Excluded("a/x")), ["a/y"]);
    assert_eq!(paths(Some("b"), Bound::Included("a/y")), ["b/x", "b/y"]);
    assert_eq!(paths(None, Bound::Included("a/y")), ["a/y", "b/x", "b/y"]);
    assert_eq!(paths(None, Bound::Excluded("a/gone")), ["a/x", "a/y", "b/x", "b/y"]);
    assert!(paths(Some("c"), Bound::Unbounded).is_empty());
}

pub async fn waiting_for_a_revision(medium: &Medium) {
    let store = medium.open().await;
    let start = store.revision();
    store.wait_until(start).await.expect("it is there");
    let waiter = tokio::spawn({
        let store = store.clone();
        async move {
            store.wait_until(start + 2).await.expect("it comes");
            store.snapshot("pods").len()
        }
    });
    put(&store, "n", "a", 1).await;
    put(&store, "n", "b", 1).await;
    assert_eq!(waiter.await.expect("no panic"), 2);
}
