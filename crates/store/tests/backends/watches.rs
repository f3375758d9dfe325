//! Watches.

use std::time::Duration;

use cox_store::{Error, Event, EventKind, Expect, Interest, Limits, Store, Txn, Watcher};
use futures::{FutureExt, StreamExt};

use crate::support::{Medium, key, number, pod, pod_on};

type Seen = (EventKind, String, u64, Option<u64>);

fn seen(event: &Event) -> Seen {
    let previous = event.previous.as_ref().map(number);
    (event.kind, event.key.path().to_owned(), number(&event.object), previous)
}

async fn next(watcher: &mut Watcher) -> Seen {
    let event = tokio::time::timeout(Duration::from_secs(10), watcher.next()).await;
    seen(&event.expect("an event in time").expect("the watch goes on").expect("no error"))
}

fn nothing_waits(watcher: &mut Watcher) -> bool {
    watcher.next().now_or_never().is_none()
}

async fn put(store: &Store, namespace: &str, name: &str, number: u64) -> u64 {
    put_on(store, namespace, name, number, "").await
}

async fn put_on(store: &Store, namespace: &str, name: &str, number: u64, node: &str) -> u64 {
    let txn = Txn::put(key(namespace, name), Expect::Any, pod_on(namespace, name, number, node));
    store.commit(txn).await.expect("put").revision
}

fn watch(store: &Store, from: u64, interest: Interest) -> Watcher {
    store.watch("pods", from, interest, None).expect("the revision is known")
}

pub async fn events_say_what_happened(medium: &Medium) {
    let store = medium.open().await;
    let mut watcher = watch(&store, store.revision(), Interest::all());
    put(&store, "n", "a", 1).await;
    put(&store, "n", "a", 2).await;
    let other = Txn::put(cox_store::Key::new("configmaps", "n", "a"), Expect::Any, pod("n", "a", 5));
    store.commit(other).await.expect("put");
    let deleted = store.commit(Txn::delete(key("n", "a"), Expect::Any)).await.expect("deleted").revision;
    assert_eq!(next(&mut watcher).await, (EventKind::Created, "n/a".into(), 1, None));
    assert_eq!(next(&mut watcher).await, (EventKind::Updated, "n/a".into(), 2, Some(1)));
    let event = watcher.next().await.expect("an event").expect("no error");
    assert_eq!(seen(&event), (EventKind::Deleted, "n/a".into(), 2, Some(2)));
    assert_eq!(event.revision(), deleted, "a deletion has a revision of its own");
    assert!(nothing_waits(&mut watcher));
    assert_eq!(store.watchers(), 1);
    drop(watcher);
    assert_eq!(store.watchers(), 0);
}

pub async fn a_watch_resumes_where_it_was(medium: &Medium) {
    let store = medium.open().await;
    let start = store.revision();
    for at in 1..=5 {
        put(&store, "n", "a", at).await;
    }
    let mut watcher = watch(&store, start + 2, Interest::all());
    put(&store, "n", "a", 6).await;
    for at in 3..=6 {
        assert_eq!(next(&mut watcher).await.2, at);
    }
    assert!(nothing_waits(&mut watcher));
    // A revision that is still to come: nothing up to it is heard of.
    let mut later = watch(&store, start + 7, Interest::all());
    put(&store, "n", "a", 7).await;
    put(&store, "n", "a", 8).await;
    assert_eq!(next(&mut later).await.2, 8);
}

pub async fn history_that_is_gone_is_expired(medium: &Medium) {
    let limits = Limits { window_events_max: 3, ..Limits::default() };
    let store = medium.open_with(limits).await;
    let start = store.revision();
    for at in 1..=5 {
        put(&store, "n", "a", at).await;
    }
    let Err(Error::Expired { asked, oldest }) = store.watch("pods", start + 1, Interest::all(), None) else {
        panic!("it isn't expired");
    };
    assert_eq!((asked, oldest), (start + 1, start + 2));
    let mut watcher = watch(&store, oldest, Interest::all());
    assert_eq!(next(&mut watcher).await.2, 3);
    // A quiet prefix has all of its history: none.
    store.watch("configmaps", start, Interest::all(), None).expect("nothing happened there");
    drop(watcher);
    store.close().await;

    let store = medium.open().await;
    let last = store.revision();
    let Err(Error::Expired { .. }) = store.watch("pods", last - 1, Interest::all(), None) else {
        panic!("no history outlives a restart");
    };
    let mut watcher = watch(&store, last, Interest::all());
    put(&store, "n", "a", 6).await;
    assert_eq!(next(&mut watcher).await, (EventKind::Updated, "n/a".into(), 6, Some(5)));
}

pub async fn interests_are_kept_apart(medium: &Medium) {
    let store = medium.open().await;
    let start = store.revision();
    let of = |namespace: Option<&str>, name: Option<&str>, node: Option<&str>| Interest {
        namespace: namespace.map(Into::into),
        name: name.map(Into::into),
        field: node.map(|node| ("spec.nodeName".to_owned(), node.to_owned())),
    };
    let interests = [
        of(None, None, None),
        of(Some("n"), None, None),
        of(Some("n"), Some("a"), None),
        of(None, Some("a"), None),
        of(None, None, Some("node-1")),
        of(Some("m"), None, Some("node-1")),
        of(None, None, Some("")),
    ];
    let mut watchers: Vec<Watcher> =
        interests.iter().map(|interest| watch(&store, start, interest.clone())).collect();
    put_on(&store, "n", "a", 1, "").await;
    put_on(&store, "m", "a", 2, "").await;
    put_on(&store, "n", "b", 3, "node-1").await;
    put_on(&store, "n", "a", 4, "node-1").await;
    put_on(&store, "n", "a", 5, "node-2").await;
    put_on(&store, "m", "c", 6, "node-1").await;
    store.commit(Txn::delete(key("m", "c"), Expect::Any)).await.expect("deleted");
    let expected: [&[u64]; 7] = [
        &[1, 2, 3, 4, 5, 6, 6],
        &[1, 3, 4, 5],
        &[1, 4, 5],
        &[1, 2, 4, 5],
        &[3, 4, 5, 6, 6],
        &[6, 6],
        &[1, 2, 4],
    ];
    // The same from the history as live.
    watchers.extend(interests.iter().map(|interest| watch(&store, start, interest.clone())));
    for (at, watcher) in watchers.iter_mut().enumerate() {
        let mut heard = Vec::new();
        for _ in expected[at % 7] {
            heard.push(next(watcher).await.2);
        }
        assert_eq!(heard, expected[at % 7], "{:?}", interests[at % 7]);
        assert!(nothing_waits(watcher), "{:?}", interests[at % 7]);
    }
}

pub async fn a_slow_watcher_is_cut_off_alone(medium: &Medium) {
    let store = medium.open().await;
    let start = store.revision();
    let mut slow = store.watch("pods", start, Interest::all(), Some(3)).expect("a watch");
    let mut other = watch(&store, start, Interest::all());
    for at in 1..=3 {
        put(&store, "n", "a", at).await;
    }
    assert_eq!(next(&mut slow).await.2, 1);
    put(&store, "n", "a", 4).await;
    put(&store, "n", "a", 5).await;
    let Some(Err(Error::TooSlow { limit: 3 })) = slow.next().await else { panic!("it isn't cut off") };
    assert!(slow.next().await.is_none(), "the error is the last item");
    for at in 1..=5 {
        assert_eq!(next(&mut other).await.2, at);
    }
    // It goes on where it was.
    let mut again = watch(&store, start + 1, Interest::all());
    for at in 2..=5 {
        assert_eq!(next(&mut again).await.2, at);
    }
}

pub async fn progress_tells_what_was_seen(medium: &Medium) {
    let store = medium.open().await;
    let start = store.revision();
    let mut watcher = watch(&store, start, Interest { namespace: Some("n".into()), ..Interest::default() });
    assert_eq!(watcher.progress(), start);
    put(&store, "m", "a", 1).await;
    let last = put(&store, "m", "a", 2).await;
    assert_eq!(watcher.progress(), last, "nothing of interest happened");
    let mine = put(&store, "n", "a", 3).await;
    assert_eq!(watcher.progress(), start, "an event waits");
    next(&mut watcher).await;
    assert_eq!(watcher.progress(), mine);
    let backlog = watch(&store, start, Interest::all());
    assert_eq!(backlog.progress(), start);
}

/// Lists and watches from the list's revision, while writers write: what the list has and what the watch
/// brings make up what is there.
pub async fn a_list_and_its_watch_fit_together(medium: &Medium) {
    let store = medium.open().await;
    let writer = {
        let store = store.clone();
        async move {
            for at in 0..200u64 {
                let name = format!("p{}", at % 7);
                if at % 5 == 4 && store.get(&key("n", &name)).is_some() {
                    store.commit(Txn::delete(key("n", &name), Expect::Any)).await.expect("deleted");
                } else {
                    put(&store, "n", &name, at).await;
                }
                if at % 3 == 0 {
                    let (a, b) = (format!("x{at}"), format!("y{at}"));
                    let pair = Txn::put(key("n", &a), Expect::Absent, pod("n", &a, at)).and_put(
                        key("n", &b),
                        Expect::Absent,
                        pod("n", &b, at),
                    );
                    store.commit(pair).await.expect("a pair");
                }
            }
        }
    };
    let reader = async {
        let mut watches = Vec::new();
        for _ in 0..50 {
            let snapshot = store.snapshot("pods");
            let pairs =
                |first: &str| snapshot.iter().filter(|(key, _)| key.path().starts_with(first)).count();
            assert_eq!(pairs("n/x"), pairs("n/y"), "half of a transaction is visible");
            let watcher = watch(&store, snapshot.revision(), Interest::all());
            watches.push((snapshot, watcher));
            tokio::task::yield_now().await;
        }
        watches
    };
    let ((), watches) = futures::join!(writer, reader);
    let last = store.revision();
    let now: Vec<(String, u64)> =
        store.snapshot("pods").iter().map(|(key, object)| (key.to_string(), object.revision())).collect();
    for (snapshot, mut watcher) in watches {
        let mut built: std::collections::BTreeMap<String, u64> =
            snapshot.iter().map(|(key, object)| (key.to_string(), object.revision())).collect();
        while watcher.progress() < last {
            let event = watcher.next().await.expect("an event").expect("no error");
            let before = match event.kind {
                EventKind::Deleted => built.remove(event.key.as_str()),
                _ => built.insert(event.key.to_string(), event.revision()),
            };
            assert_eq!(before, event.previous.as_ref().map(cox_api::Object::revision));
            assert!(before.is_none_or(|before| before < event.revision()), "an event comes twice");
        }
        assert_eq!(built.into_iter().collect::<Vec<_>>(), now);
    }
}

/// The watch ends again and again and goes on from the last revision it brought.
pub async fn a_hundred_thousand_events_stopped_and_resumed(medium: &Medium) {
    const EVENTS: u64 = 100_000;
    const WRITERS: u64 = 200;
    let limits = Limits { window_bytes_max: 1 << 30, ..Limits::default() };
    let store = medium.open_with(limits).await;
    let start = store.revision();
    let object = pod("n", "a", 1);
    let writer = |_| async {
        for _ in 0..EVENTS / WRITERS {
            store.commit(Txn::put(key("n", "a"), Expect::Any, object.clone())).await.expect("put");
        }
    };
    let reader = async {
        let (mut from, mut stops, mut count) = (start, 0u64, 0u64);
        while count < EVENTS {
            let mut watcher = store.watch("pods", from, Interest::all(), Some(300)).expect("it resumes");
            // Takes a different number of events each time, then stops reading for a moment or for good.
            for _ in 0..(stops % 13) * 97 + 1 {
                match watcher.next().await {
                    Some(Ok(event)) => {
                        assert_eq!(event.revision(), from + 1, "nothing is missing and nothing comes twice");
                        from = event.revision();
                        count += 1;
                    }
                    Some(Err(Error::TooSlow { .. })) => break,
                    end => panic!("{end:?}"),
                }
                if count == EVENTS {
                    break;
                }
            }
            stops += 1;
            tokio::task::yield_now().await;
        }
        assert!(stops > 100);
        (from, count)
    };
    let (_, (last, count)) = futures::join!(futures::future::join_all((0..WRITERS).map(writer)), reader);
    assert_eq!((last, count), (start + EVENTS, EVENTS));
    assert_eq!(store.revision(), last);
}
