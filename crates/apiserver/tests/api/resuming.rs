//! 100,000 events through one watch that ends and goes on again and again, while everything changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cox_api::Options;
use cox_store::{Expect, Key, Store, Txn};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::web::{TOKEN, Web};

/// How many events there are in all.
const EVENTS: u64 = 100_000;
const WRITERS: u64 = 8;
/// Writers don't get farther ahead of the watch than its history reaches.
const AHEAD_MAX: u64 = 1_500;
/// Objects of each writer.
const NAMES: u64 = 40;

/// What happened to which object at a revision.
type Event = (u64, &'static str, String);

fn config_map(name: &str, number: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"number": number.to_string()},
        "metadata": {"name": name, "namespace": "n", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}})
}

/// Creates, changes and deletes, and says what it did. The store is written directly: what reads is what is tried.
async fn write(
    store: Store,
    writer: u64,
    start: u64,
    seen: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
) -> Vec<Event> {
    let mut done = Vec::new();
    let mut there = [false; NAMES as usize];
    for at in 0..EVENTS / WRITERS {
        while store.revision() - start > seen.load(Ordering::Relaxed) + AHEAD_MAX {
            assert!(!stopped.load(Ordering::Relaxed), "the watch is over");
            tokio::task::yield_now().await;
        }
        let number = at.wrapping_mul(7919) % NAMES;
        let name = format!("w{writer}-{number}");
        let key = Key::new("configmaps", "n", &name);
        let known = &mut there[number as usize];
        let (what, txn) = match (*known, at % 5) {
            (true, 4) => ("DELETED", Txn::delete(key, Expect::Any)),
            (known, _) => {
                let value = config_map(&name, at);
                let header = cox_apiserver::describe()("configmaps", &value);
                let object = cox_api::Object::new(&value, header, 0);
                let what = if known { "MODIFIED" } else { "ADDED" };
                (what, Txn::put(key, Expect::Any, object))
            }
        };
        *known = what != "DELETED";
        let committed = store.commit(txn).await.expect("committed");
        done.push((committed.revision, what, name));
    }
    done
}

/// Watches from a revision until so many events came, then hangs up.
async fn watch(web: &Web, from: u64, most: usize, seen: &AtomicU64) -> Vec<Event> {
    let path =
        format!("/api/v1/namespaces/n/configmaps?watch=true&allowWatchBookmarks=true&resourceVersion={from}");
    let request = http::Request::builder()
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {TOKEN}"));
    let answer = web.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let (mut left, mut events) = (Vec::new(), Vec::new());
    while events.len() < most {
        let frame = body.frame().await.expect("the watch goes on").expect("no fault");
        let Ok(data) = frame.into_data() else { continue };
        left.extend_from_slice(&data);
        let mut start = 0;
        while let Some(length) = left[start..].iter().position(|byte| *byte == b'\n') {
            let line: Value = serde_json::from_slice(&left[start..start + length]).expect("JSON");
            start += length + 1;
            let what = match line["type"].as_str().unwrap_or_default() {
                "ADDED" => "ADDED",
                "MODIFIED" => "MODIFIED",
                "DELETED" => "DELETED",
                other => panic!("{other}: {line}"),
            };
            let metadata = &line["object"]["metadata"];
            let revision = metadata["resourceVersion"].as_str().unwrap().parse().unwrap();
            events.push((revision, what, metadata["name"].as_str().unwrap().to_owned()));
            seen.fetch_add(1, Ordering::Relaxed);
            if events.len() == most {
                break;
            }
        }
        left.drain(..start);
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missing_and_nothing_comes_twice() {
    let web = Web::new().await;
    let store = web.world.server.db().store().clone();
    let first = web.world.list("configmaps", "n", Options::default()).await.unwrap();
    assert!(first.items.is_empty());
    let seen = Arc::new(AtomicU64::new(0));
    let stopped = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            tokio::spawn(write(store.clone(), writer, first.revision, seen.clone(), stopped.clone()))
        })
        .collect();
    let mut events: Vec<Event> = Vec::new();
    let mut from = first.revision;
    for round in 1.. {
        // Sometimes after a single event, sometimes after thousands.
        let most = [1, 10, 700, 4_000, 9_000][round % 5].min(EVENTS as usize - events.len());
        if most == 0 {
            break;
        }
        let more =
            tokio::time::timeout(std::time::Duration::from_secs(60), watch(&web, from, most, &seen)).await;
        let Ok(more) = more else {
            stopped.store(true, Ordering::Relaxed);
            panic!("after {} events none came for a minute", events.len());
        };
        events.extend(more);
        from = events.last().unwrap().0;
    }
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await.expect("no panic"));
    }
    written.sort();
    assert_eq!(events.len(), written.len());
    if let Some((seen, done)) = events.iter().zip(&written).find(|(seen, done)| seen != done) {
        panic!("{seen:?} came, {done:?} was written");
    }
    // The first list and the events make the last list.
    let mut objects = BTreeMap::new();
    for (revision, what, name) in events {
        match what {
            "DELETED" => drop(objects.remove(&name)),
            _ => drop(objects.insert(name, revision)),
        }
    }
    let last = web.world.list("configmaps", "n", Options::default()).await.unwrap();
    let listed: BTreeMap<String, u64> =
        last.items.iter().map(|object| (object.name().to_owned(), object.revision())).collect();
    assert_eq!(listed, objects);
}
