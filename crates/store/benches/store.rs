//! Figures of the embedded store, on demand:
//!
//! ```text
//! cargo bench -p cox-store --bench store -- commits          1 and 64 writers, against a plain log in the same run
//! cargo bench -p cox-store --bench store -- restart          opening a store of 100,000 objects
//! cargo bench -p cox-store --bench store -- memory           10,000 objects come and go
//! cargo bench -p cox-store --bench store -- watchers         5,000 nodes watch their pods
//! cargo bench -p cox-store --bench store -- soak [GB]        writes that much, with the longest stalls (default 4)
//! ```
//! The data goes to a temporary directory, `TMPDIR` says where.

use std::io::Write;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cox_api::{Header, Object};
use cox_env::Env;
use cox_store::{Embedded, Expect, Interest, Key, Limits, Store, Txn};
use futures::StreamExt;
use serde_json::json;

const VALUE_BYTES: usize = 2048;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match args.first().map(String::as_str) {
        Some("commits") => runtime.block_on(commits()),
        Some("restart") => runtime.block_on(restart()),
        Some("open") => runtime.block_on(open_once(args[1].as_ref())),
        Some("memory") => runtime.block_on(memory()),
        Some("watchers") => runtime.block_on(watchers()),
        Some("soak") => {
            let gigabytes = args.get(1).map_or(4, |text| text.parse().expect("a number of GB"));
            runtime.block_on(soak(gigabytes));
        }
        _ => eprintln!("say which: commits, restart, memory, watchers, soak [GB]"),
    }
}

async fn open(dir: &std::path::Path) -> Store {
    let backend = Embedded::open(dir).await.expect("the directory opens");
    let describe = Arc::new(|_: &str, value: &serde_json::Value| Header::of(value, Vec::new()));
    Store::open(Env::real(), Box::new(backend), Limits::default(), describe).await.expect("the store opens")
}

/// A pod of about `bytes`, of text that doesn't compress to nothing.
fn pod(name: &str, bytes: usize, node: &str) -> Object {
    let filler: String = (0..bytes / 16)
        .map(|at| format!("{:016x}", (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let value = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-of-{name}"), "labels": {"app": "web"}},
        "spec": {"nodeName": node, "filler": filler}});
    let header = Header::of(&value, vec![("spec.nodeName", node.to_owned())]);
    Object::new(&value, header, 0)
}

fn key(name: &str) -> Key {
    Key::new("pods", "default", name)
}

/// Commits by so many writers for a while, each over its own 100 names: (per second, latencies in order).
async fn write_for(store: &Store, writers: usize, time: Duration) -> (f64, Vec<Duration>) {
    let begin = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let objects: Vec<(Key, Object)> = (0..100)
                    .map(|at| format!("w{writer}-{at}"))
                    .map(|name| (key(&name), pod(&name, VALUE_BYTES, "")))
                    .collect();
                let mut latencies = Vec::new();
                for (key, object) in objects.iter().cycle() {
                    let start = Instant::now();
                    if start - begin > time {
                        break;
                    }
                    store.commit(Txn::put(key.clone(), Expect::Any, object.clone())).await.expect("put");
                    latencies.push(start.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("no panic"));
    }
    let rate = latencies.len() as f64 / begin.elapsed().as_secs_f64();
    latencies.sort_unstable();
    (rate, latencies)
}

/// Appends and syncs groups of values to a file: values per second.
fn plain_log(dir: &std::path::Path, group: usize, time: Duration) -> f64 {
    let mut file = std::fs::File::create(dir.join("plain.log")).expect("a file");
    let object = pod("plain", VALUE_BYTES, "").json();
    let block: Vec<u8> = object.iter().copied().cycle().take(object.len() * group).collect();
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < time {
        file.write_all(&block).expect("written");
        file.sync_data().expect("synced");
        count += group;
    }
    count as f64 / begin.elapsed().as_secs_f64()
}

async fn commits() {
    const TIME: Duration = Duration::from_secs(3);
    println!("writers      plain log/s       store/s   ratio     p50        p99        max");
    for round in 0..3 {
        for writers in [1, 64] {
            let dir = tempfile::tempdir().expect("a directory");
            let plain = plain_log(dir.path(), writers, TIME);
            let store = open(&dir.path().join("store")).await;
            let (rate, latencies) = write_for(&store, writers, TIME).await;
            let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
            println!(
                "{writers:>7} {plain:>16.0} {rate:>13.0} {:>7.2}  {:>9.2?}  {:>9.2?}  {:>9.2?}  (round {round})",
                rate / plain,
                at(0.5),
                at(0.99),
                at(1.0)
            );
            store.close().await;
        }
    }
}

async fn fill(store: &Store, count: usize, bytes: usize) {
    let names: Vec<String> = (0..count).map(|at| format!("p{at}")).collect();
    for chunk in names.chunks(512) {
        let writes =
            chunk.iter().map(|name| store.commit(Txn::put(key(name), Expect::Any, pod(name, bytes, ""))));
        for done in futures::future::join_all(writes).await {
            done.expect("put");
        }
    }
}

async fn restart() {
    const OBJECTS: usize = 100_000;
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    fill(&store, OBJECTS, VALUE_BYTES).await;
    store.close().await;
    // Each in a process of its own, as a restart is.
    for _ in 0..3 {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
        assert!(child.arg("open").arg(dir.path()).status().expect("a child process").success());
    }
}

async fn open_once(dir: &std::path::Path) {
    let begin = Instant::now();
    let store = open(dir).await;
    let time = begin.elapsed();
    println!(
        "opened {} objects in {} ms, {} MB resident",
        store.snapshot("pods").len(),
        time.as_millis(),
        resident_mb()
    );
    let begin = Instant::now();
    let bytes: usize =
        store.snapshot("pods").range(None, Bound::Unbounded).map(|(_, object)| object.json_len()).sum();
    println!("walked {} MB of them in {:.1?}", bytes >> 20, begin.elapsed());
    store.close().await;
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("kB") >> 10
}

async fn memory() {
    let dir = tempfile::tempdir().expect("a directory");
    println!("before opening: {} MB", resident_mb());
    let store = open(dir.path()).await;
    println!("empty: {} MB", resident_mb());
    let mut watcher = store.watch("pods", store.revision(), Interest::all(), None).expect("a watch");
    let reader = tokio::spawn(async move {
        let mut count = 0u64;
        while let Some(Ok(_)) = watcher.next().await {
            count += 1;
        }
        count
    });
    for _ in 0..3 {
        fill(&store, 10_000, 5000).await;
    }
    println!("10,000 objects of 5 KB, three times written: {} MB", resident_mb());
    let names: Vec<String> = (0..10_000).map(|at| format!("p{at}")).collect();
    for chunk in names.chunks(512) {
        let writes = chunk.iter().map(|name| store.commit(Txn::delete(key(name), Expect::Any)));
        for done in futures::future::join_all(writes).await {
            done.expect("deleted");
        }
    }
    println!("all gone: {} MB", resident_mb());
    tokio::time::sleep(Duration::from_secs(25)).await;
    println!("quiet for 25 s: {} MB", resident_mb());
    store.close().await;
    println!("{} events seen", reader.await.expect("no panic"));
}

async fn watchers() {
    const NODES: usize = 5000;
    const PODS: usize = 50_000;
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).await;
    let tasks: Vec<_> = (0..NODES)
        .map(|node| {
            let interest = Interest {
                field: Some(("spec.nodeName".to_owned(), format!("node-{node}"))),
                ..Interest::default()
            };
            let mut watcher = store.watch("pods", store.revision(), interest, None).expect("a watch");
            tokio::spawn(async move {
                for _ in 0..PODS / NODES {
                    watcher.next().await.expect("an event").expect("no error");
                }
            })
        })
        .collect();
    let begin = Instant::now();
    let names: Vec<String> = (0..PODS).map(|at| format!("p{at}")).collect();
    for (chunk, names) in names.chunks(512).enumerate() {
        let writes = names.iter().enumerate().map(|(at, name)| {
            let node = format!("node-{}", (chunk * 512 + at) % NODES);
            store.commit(Txn::put(key(name), Expect::Absent, pod(name, VALUE_BYTES, &node)))
        });
        for done in futures::future::join_all(writes).await {
            done.expect("put");
        }
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let rate = PODS as f64 / begin.elapsed().as_secs_f64();
    println!("{PODS} pods to {NODES} watchers by field: {rate:.0}/s");
    store.close().await;
}

/// Writes for gigabytes over a set of objects that stays about the same: updates, with some deletions.
async fn soak(gigabytes: u64) {
    const WRITERS: usize = 64;
    const NAMES: u64 = 20_000;
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir.path().join("store")).await;
    let goal = gigabytes << 30;
    let per_writer = goal / WRITERS as u64 / VALUE_BYTES as u64;
    let begin = Instant::now();
    let tasks: Vec<_> = (0..WRITERS as u64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let (mut slow, mut worst) = ([0u64; 3], Duration::ZERO);
                for at in 0..per_writer {
                    // Each writer has names of its own, in an order that isn't theirs.
                    let name = format!("p{}", (at.wrapping_mul(7919) % (NAMES / 64)) * 64 + writer);
                    let start = Instant::now();
                    if at % 10 == 9 {
                        // It may be gone already.
                        let _ = store.commit(Txn::delete(key(&name), Expect::Any)).await;
                    } else {
                        let object = pod(&name, VALUE_BYTES, "");
                        store.commit(Txn::put(key(&name), Expect::Any, object)).await.expect("put");
                    }
                    let time = start.elapsed();
                    for (count, limit) in slow.iter_mut().zip([20, 100, 500]) {
                        *count += u64::from(time > Duration::from_millis(limit));
                    }
                    worst = worst.max(time);
                }
                (slow, worst)
            })
        })
        .collect();
    let reporter = tokio::spawn({
        let (store, dir) = (store.clone(), dir.path().to_owned());
        async move {
            let mut last = store.revision();
            loop {
                tokio::time::sleep(Duration::from_secs(5)).await;
                let now = store.revision();
                println!(
                    "{:>5.0?}: {:>8} commits/s, {} MB resident, {} MB on disk",
                    begin.elapsed(),
                    (now - last) / 5,
                    resident_mb(),
                    disk_mb(&dir)
                );
                last = now;
            }
        }
    });
    let (mut slow, mut worst) = ([0u64; 3], Duration::ZERO);
    for task in tasks {
        let (more, max) = task.await.expect("no panic");
        slow.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        worst = worst.max(max);
    }
    reporter.abort();
    let time = begin.elapsed();
    println!(
        "{gigabytes} GB in {time:.1?}, {:.0} commits/s; slower than 20 ms: {}, 100 ms: {}, 500 ms: {}; worst {worst:.0?}",
        store.revision() as f64 / time.as_secs_f64(),
        slow[0],
        slow[1],
        slow[2]
    );
    println!("{} MB resident, {} MB on disk", resident_mb(), disk_mb(dir.path()));
    let (revision, count) = (store.revision(), store.snapshot("pods").len());
    store.close().await;
    let start = Instant::now();
    let store = open(&dir.path().join("store")).await;
    assert_eq!((store.revision(), store.snapshot("pods").len()), (revision, count));
    println!("opened again with {count} objects in {:.0?}", start.elapsed());
    store.close().await;
}

/// Blocks on disk, in MB.
fn disk_mb(dir: &std::path::Path) -> u64 {
    fn blocks(dir: &std::path::Path) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
        entries
            .flatten()
            .map(|entry| match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => blocks(&entry.path()),
                Ok(metadata) => metadata.blocks() * 512,
                // Gone meanwhile.
                Err(_) => 0,
            })
            .sum()
    }
    blocks(dir) >> 20
}
