//! Compare and commit.

use cox_api::{Header, Object};
use cox_store::{Error, Expect, Key, Limits, Store, Txn};
use futures::StreamExt;

use crate::support::{Medium, conflict, key, number, pod};

pub async fn expectations_are_checked(medium: &Medium) {
    let store = medium.open().await;
    let a = key("n", "a");
    let created = store.commit(Txn::put(a.clone(), Expect::Absent, pod("n", "a", 1))).await.expect("created");
    assert_eq!(created.object().revision(), created.revision);
    assert_eq!(number(created.object()), 1);
    assert_eq!(created.object().value()["metadata"]["resourceVersion"], created.revision.to_string());

    let found = conflict(store.commit(Txn::put(a.clone(), Expect::Absent, pod("n", "a", 2))).await);
    assert_eq!(found.map(|object| (object.revision(), number(&object))), Some((created.revision, 1)));
    conflict(
        store.commit(Txn::put(a.clone(), Expect::Revision(created.revision + 9), pod("n", "a", 2))).await,
    );
    conflict(store.commit(Txn::delete(a.clone(), Expect::Revision(created.revision - 1))).await);
    conflict(store.commit(Txn::delete(a.clone(), Expect::Absent)).await);

    let updated = store
        .commit(Txn::put(a.clone(), Expect::Revision(created.revision), pod("n", "a", 2)))
        .await
        .expect("updated");
    let overwritten =
        store.commit(Txn::put(a.clone(), Expect::Any, pod("n", "a", 3))).await.expect("overwritten");
    assert_eq!(overwritten.revision, updated.revision + 1);
    assert_eq!(store.get(&a).map(|object| number(&object)), Some(3));

    let deleted =
        store.commit(Txn::delete(a.clone(), Expect::Revision(overwritten.revision))).await.expect("deleted");
    assert_eq!((deleted.object().revision(), number(deleted.object())), (deleted.revision, 3));
    assert!(store.get(&a).is_none());
    assert!(conflict(store.commit(Txn::delete(a.clone(), Expect::Any)).await).is_none());
    assert!(
        conflict(store.commit(Txn::put(a, Expect::Revision(overwritten.revision), pod("n", "a", 4))).await)
            .is_none()
    );
}

pub async fn a_transaction_happens_whole_or_not_at_all(medium: &Medium) {
    let store = medium.open().await;
    let (a, b) = (key("n", "a"), Key::new("configmaps", "n", "b"));
    let both = store
        .commit(Txn::put(a.clone(), Expect::Absent, pod("n", "a", 1)).and_put(
            b.clone(),
            Expect::Absent,
            pod("n", "b", 1),
        ))
        .await
        .expect("both");
    let revisions: Vec<u64> = both.objects.iter().map(Object::revision).collect();
    assert_eq!(revisions, [both.revision, both.revision]);

    let refused = store
        .commit(Txn::delete(a.clone(), Expect::Any).and_check(b.clone(), Expect::Revision(both.revision - 1)))
        .await;
    let Err(Error::Conflict { key: at, current }) = refused else { panic!("{refused:?}") };
    assert_eq!((at, current.map(|object| object.revision())), (b.clone(), Some(both.revision)));
    assert!(store.get(&a).is_some());
    assert_eq!(store.revision(), both.revision, "a refused transaction has no revision");

    let done = store
        .commit(Txn::delete(a.clone(), Expect::Any).and_delete(b.clone(), Expect::Revision(both.revision)))
        .await
        .expect("both gone");
    assert_eq!(done.objects.len(), 2);
    assert!(store.get(&a).is_none() && store.get(&b).is_none());
}

pub async fn revisions_rise_by_one(medium: &Medium) {
    let store = medium.open().await;
    let start = store.revision();
    assert!(start > 0);
    for step in 1..=20 {
        let name = format!("a{step}");
        let done = store.commit(Txn::put(key("n", &name), Expect::Absent, pod("n", &name, step))).await;
        assert_eq!(done.expect("created").revision, start + step);
    }
}

pub async fn what_cannot_be_a_transaction_is_refused(medium: &Medium) {
    let store = medium.open_with(Limits { object_bytes_max: 400, ..Limits::default() }).await;
    let (a, start) = (key("n", "a"), store.revision());
    let twice = Txn::put(a.clone(), Expect::Any, pod("n", "a", 1)).and_delete(a.clone(), Expect::Any);
    assert!(matches!(store.commit(twice).await, Err(Error::Malformed(_))));
    let other = Txn::put(a.clone(), Expect::Any, pod("n", "another", 1));
    assert!(matches!(store.commit(other).await, Err(Error::Malformed(_))));
    let large = Txn::put(key("n", &"x".repeat(200)), Expect::Any, pod("n", &"x".repeat(200), 1));
    assert!(matches!(store.commit(large).await, Err(Error::TooLarge { limit: 400, .. })));
    assert_eq!(store.revision(), start);
}

pub async fn everything_is_there_after_a_restart(medium: &Medium) {
    let store = medium.open().await;
    for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
        store.commit(Txn::put(key("n", name), Expect::Absent, pod("n", name, at as u64))).await.expect("put");
    }
    let spec = Key::new("services/specs", "n", "a");
    store.commit(Txn::put(spec.clone(), Expect::Absent, pod("n", "a", 7))).await.expect("put");
    store.commit(Txn::put(key("n", "b"), Expect::Any, pod("n", "b", 9))).await.expect("put");
    store.commit(Txn::delete(key("n", "c"), Expect::Any)).await.expect("deleted");
    let last = store.commit(Txn::delete(key("n", "a"), Expect::Any)).await.expect("deleted").revision;
    let before = store.get(&key("n", "b")).expect("b");
    store.close().await;

    let store = medium.open().await;
    assert_eq!(store.revision(), last, "a revision is not given again, not even a deletion's");
    let after = store.get(&key("n", "b")).expect("b");
    assert_eq!((after.revision(), after.json()), (before.revision(), before.json()));
    assert_eq!(after.header(), before.header());
    assert_eq!(store.get(&spec).map(|object| number(&object)), Some(7));
    let counts: Vec<(String, usize)> =
        store.counts().into_iter().map(|(prefix, count)| (prefix.to_string(), count)).collect();
    assert_eq!(counts, [("pods".to_owned(), 1), ("services/specs".to_owned(), 1)]);
    let next = store.commit(Txn::put(key("n", "d"), Expect::Absent, pod("n", "d", 1))).await.expect("put");
    assert_eq!(next.revision, last + 1);
    store.close().await;
}

/// Enough that the embedded store has files besides its journal, and that loading takes several chunks.
pub async fn thousands_are_the_same_after_a_restart(medium: &Medium) {
    const OBJECTS: u64 = 5_000;
    const HEAD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"resourceVersion":""#;
    let filler = "0123456789abcdef".repeat(250);
    let store = medium.open().await;
    let prefixes = ["configmaps", "pods", "services/specs"];
    let place = |at: u64| {
        let (namespace, name) = (format!("n{}", at % 7), format!("o{at}"));
        (Key::new(prefixes[(at % 3) as usize], &namespace, &name), namespace, name)
    };
    let put = |at: u64, number: u64| {
        let (key, namespace, name) = place(at);
        // Put together by hand: serializing this much takes a build without optimisation many seconds.
        let tail = format!(
            r#"","name":"{name}","namespace":"{namespace}"}},"spec":{{"number":{number},"filler":"{filler}"}}}}"#
        );
        let header = Header {
            namespace: namespace.into(),
            name: name.as_str().into(),
            uid: format!("uid-{at}").into(),
            labels: [("at".into(), name.into())].into(),
            fields: vec![("spec.nodeName".into(), format!("node-{}", at % 5).into())],
            ..Header::default()
        };
        let object = Object::from_parts(HEAD.into(), tail.into(), header, 0);
        Txn::put(key, Expect::Any, object)
    };
    let made = (0..OBJECTS).map(|at| put(at, at));
    let changed = (0..OBJECTS).step_by(10).map(|at| put(at, at + OBJECTS));
    let deleted = (5..OBJECTS).step_by(10).map(|at| Txn::delete(place(at).0, Expect::Any));
    let commits = made.chain(changed).chain(deleted).map(|txn| store.commit(txn));
    let done: Vec<_> = futures::stream::iter(commits).buffered(64).collect().await;
    assert!(done.iter().all(Result::is_ok));
    let everything = |store: &Store| -> Vec<_> {
        let snapshots = prefixes.map(|prefix| store.snapshot(prefix));
        let all = snapshots.iter().flat_map(|snapshot| snapshot.iter());
        all.map(|(key, object)| (key.clone(), object.revision(), object.json(), object.header().clone()))
            .collect()
    };
    let (before, revision) = (everything(&store), store.revision());
    assert_eq!(before.len() as u64, OBJECTS - OBJECTS / 10);
    store.close().await;
    // The second time nothing was written in between.
    for _ in 0..2 {
        let store = medium.open().await;
        assert_eq!(store.revision(), revision);
        assert!(everything(&store) == before, "what comes back isn't what was there");
        store.close().await;
    }
}

pub async fn concurrent_writers_lose_nothing(medium: &Medium) {
    const WRITERS: u64 = 16;
    const ROUNDS: u64 = 25;
    let store = medium.open().await;
    let start = store.revision();
    let shared = key("n", "counter");
    store.commit(Txn::put(shared.clone(), Expect::Absent, pod("n", "counter", 0))).await.expect("put");
    let writer = |writer: u64| {
        let (store, shared) = (store.clone(), shared.clone());
        async move {
            let mut conflicts = 0;
            for round in 0..ROUNDS {
                let name = format!("w{writer}-{round}");
                store
                    .commit(Txn::put(key("n", &name), Expect::Absent, pod("n", &name, round)))
                    .await
                    .expect("its own object");
                loop {
                    let current = store.get(&shared).expect("the counter");
                    let next = pod("n", "counter", number(&current) + 1);
                    match store
                        .commit(Txn::put(shared.clone(), Expect::Revision(current.revision()), next))
                        .await
                    {
                        Ok(done) => {
                            let seen = store.get(&shared).expect("the counter");
                            assert!(seen.revision() >= done.revision, "a writer sees its own write");
                            break;
                        }
                        Err(Error::Conflict { .. }) => conflicts += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            conflicts
        }
    };
    let conflicts: u64 = futures::future::join_all((0..WRITERS).map(writer)).await.into_iter().sum();
    assert!(conflicts > 0, "nobody met anybody");
    assert_eq!(number(&store.get(&shared).expect("the counter")), WRITERS * ROUNDS);
    assert_eq!(store.snapshot("pods").len() as u64, WRITERS * ROUNDS + 1);
    assert_eq!(store.revision(), start + 1 + 2 * WRITERS * ROUNDS);
}

pub async fn a_closed_store_says_so(medium: &Medium) {
    let store = medium.open().await;
    store.commit(Txn::put(key("n", "a"), Expect::Absent, pod("n", "a", 1))).await.expect("put");
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { store.wait_until(u64::MAX).await }
    });
    store.close().await;
    let refused = store.commit(Txn::put(key("n", "b"), Expect::Absent, pod("n", "b", 1))).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    assert!(matches!(waiter.await.expect("no panic"), Err(Error::Closed)));
    let refused = store.watch("pods", store.revision(), cox_store::Interest::all(), None);
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    assert!(store.get(&key("n", "a")).is_some(), "what is in memory can still be read");
}
