//! The embedded store against `kill -9` and torn journals.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cox_api::Header;
use cox_env::Env;
use cox_store::{Embedded, Expect, Key, Limits, Store, Txn};

use support::{describe, number, pod};

const WRITERS: u64 = 8;
const ROUNDS: u64 = 20;
const DIR: &str = "COX_STORE_TEST_DIR";

fn left(writer: u64) -> (Key, String) {
    let name = format!("x{writer}");
    (Key::new("pods", "n", &name), name)
}

fn right(writer: u64) -> (Key, String) {
    let name = format!("y{writer}");
    (Key::new("configmaps", "n", &name), name)
}

async fn open(dir: &Path) -> Store {
    let backend = Embedded::open(dir).await.expect("the directory opens");
    Store::open(Env::real(), Box::new(backend), Limits::default(), describe()).await.expect("the store opens")
}

/// The number that a writer's pair of objects carries; a pair is written together.
fn pair(store: &Store, writer: u64) -> u64 {
    let of = |key: &Key| store.get(key).map_or(0, |object| number(&object));
    let (x, y) = (of(&left(writer).0), of(&right(writer).0));
    assert_eq!(x, y, "writer {writer}: half of a transaction is there");
    x
}

async fn write_pair(store: &Store, writer: u64, number: u64) -> u64 {
    let ((x, x_name), (y, y_name)) = (left(writer), right(writer));
    let txn = Txn::put(x, Expect::Any, pod("n", &x_name, number)).and_put(
        y,
        Expect::Any,
        pod("n", &y_name, number),
    );
    store.commit(txn).await.expect("put").revision
}

/// Writes until it is killed, and says what was acknowledged.
#[tokio::test]
#[ignore = "the process that kill_9_loses_nothing kills"]
async fn writer() {
    let dir = PathBuf::from(std::env::var(DIR).expect("a directory"));
    let store = open(&dir).await;
    println!("\nopen {} 0 0", store.revision());
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        async move {
            for at in pair(&store, writer) + 1.. {
                let revision = write_pair(&store, writer, at).await;
                println!("ack {revision} {writer} {at}");
                // Something that comes and goes.
                let name = format!("t{writer}");
                let key = Key::new("pods", "n", &name);
                let made = store.commit(Txn::put(key.clone(), Expect::Any, pod("n", &name, at))).await;
                println!("made {} {writer} {at}", made.expect("put").revision);
                let gone = store.commit(Txn::delete(key, Expect::Any)).await;
                println!("gone {} {writer} {at}", gone.expect("deleted").revision);
            }
        }
    });
    futures::future::join_all(writers).await;
}

/// What a killed writer had said.
fn run_and_kill(dir: &Path, acks: usize) -> Vec<(String, u64, u64, u64)> {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "writer", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child process");
    let mut said = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut killed = false;
    while let Some(Ok(line)) = lines.next() {
        let words: Vec<&str> = line.split(' ').collect();
        let [what @ ("open" | "ack" | "made" | "gone"), numbers @ ..] = words.as_slice() else { continue };
        // The line that the kill cut off counts for nothing.
        let numbers: Vec<u64> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
        if let [revision, writer, at] = numbers[..] {
            said.push(((*what).to_owned(), revision, writer, at));
        }
        if said.len() > acks && !killed {
            child.kill().expect("killed");
            killed = true;
        }
    }
    child.wait().expect("its end");
    assert!(killed, "the writer ended by itself after {} lines", said.len());
    said
}

#[tokio::test]
async fn kill_9_loses_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut revisions = BTreeSet::new();
    let mut acked: BTreeMap<u64, u64> = BTreeMap::new();
    let mut last = 0;
    for round in 0..ROUNDS {
        let said = run_and_kill(dir.path(), 1 + (round as usize * 37) % 400);
        assert_eq!((said[0].0.as_str(), said[0].1 >= last), ("open", true), "it starts where it was");
        // For each writer: whether its passing object is known to be there, known to be gone, or neither.
        let mut passing: BTreeMap<u64, &str> = BTreeMap::new();
        for (what, revision, writer, at) in &said[1..] {
            assert!(*revision > last, "revision {revision} after {last} at the end of the round before");
            assert!(revisions.insert(*revision), "revision {revision} was given twice");
            match what.as_str() {
                "ack" => {
                    acked.insert(*writer, *at);
                    passing.remove(writer);
                }
                "made" => {
                    passing.remove(writer);
                }
                _ => {
                    passing.insert(*writer, "gone");
                }
            }
        }
        let store = open(dir.path()).await;
        let highest = revisions.last().copied().unwrap_or(0);
        assert!(store.revision() >= highest, "revision {highest} was acknowledged");
        for writer in 0..WRITERS {
            let (there, known) = (pair(&store, writer), acked.get(&writer).copied().unwrap_or(0));
            assert!(
                there == known || there == known + 1,
                "round {round}: writer {writer} has {there}, acknowledged was {known}"
            );
            acked.insert(writer, there);
            if passing.contains_key(&writer) && there == known {
                let key = Key::new("pods", "n", &format!("t{writer}"));
                assert!(store.get(&key).is_none(), "a deletion was acknowledged and is undone");
            }
        }
        last = store.revision();
        store.close().await;
    }
    assert!(revisions.len() > 1000, "only {} writes in all", revisions.len());
}

/// A journal whose end never reached the disk: what comes up is a state that was, never a mixture.
#[tokio::test]
async fn a_torn_journal_is_cut_at_a_transaction() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = open(dir.path()).await;
    let start = store.revision();
    for at in 1..=20 {
        assert_eq!(write_pair(&store, 0, at).await, start + at);
    }
    let copy = tempfile::tempdir().expect("a temporary directory");
    copy_tree(dir.path(), copy.path());
    store.close().await;
    let journal = journal_of(copy.path());
    let end = start_of(&journal).0.len();
    let mut found = BTreeSet::new();
    for (step, torn) in (1..4000).step_by(173).enumerate() {
        let victim = tempfile::tempdir().expect("a temporary directory");
        copy_tree(copy.path(), victim.path());
        let file =
            std::fs::OpenOptions::new().write(true).open(journal_of(victim.path())).expect("the journal");
        // Either the file ends there, or it has its length but not its content.
        if step % 2 == 0 {
            file.set_len((end - torn) as u64).expect("truncated");
        } else {
            file.write_all_at(&vec![0; torn], (end - torn) as u64).expect("overwritten");
        }
        let store = open(victim.path()).await;
        let there = pair(&store, 0);
        assert_eq!(store.revision(), start + there, "revision and content are of one transaction");
        found.insert(there);
        // It goes on from there.
        assert_eq!(write_pair(&store, 0, 99).await, start + there + 1);
        store.close().await;
        let store = open(victim.path()).await;
        assert_eq!((pair(&store, 0), store.revision()), (99, start + there + 1));
        store.close().await;
    }
    assert!(found.len() > 3 && !found.contains(&20), "{found:?}");
}

#[tokio::test]
async fn a_directory_has_one_store() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = open(dir.path()).await;
    let refused = Embedded::open(dir.path()).await.err().expect("it is in use");
    assert_eq!(
        refused.to_string(),
        format!("the store at {} is in use by another process", dir.path().display())
    );
    store.close().await;
    open(dir.path()).await.close().await;
    let file = dir.path().join("file");
    std::fs::write(&file, "x").expect("a file");
    let refused = Embedded::open(&file).await.err().expect("it is no directory");
    assert!(refused.to_string().starts_with("can't open the store at"), "{refused}");
}

/// A newer program may know more selectable fields than the one that wrote.
#[tokio::test]
async fn headers_of_another_epoch_are_made_anew() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = open(dir.path()).await;
    let revision = write_pair(&store, 0, 5).await;
    store.close().await;
    for (epoch, expected) in [(0, None), (1, Some("5"))] {
        let backend = Embedded::open_at(dir.path(), epoch).await.expect("the directory opens");
        let describe: cox_store::Describe = std::sync::Arc::new(|_, value| {
            Header::of(value, vec![("spec.number", value["spec"]["number"].to_string())])
        });
        let store = Store::open(Env::real(), Box::new(backend), Limits::default(), describe).await;
        let store = store.expect("the store opens");
        let object = store.get(&left(0).0).expect("it is there");
        assert_eq!((object.revision(), number(&object)), (revision, 5));
        assert_eq!(object.header().field("spec.number"), expected, "epoch {epoch}");
        store.close().await;
    }
}

fn journal_of(dir: &Path) -> PathBuf {
    let mut journals: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("the directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .collect();
    assert_eq!(journals.len(), 1, "{journals:?}");
    journals.remove(0)
}

/// What a file starts with, without the zeros after it, and its length: the journal is preallocated.
fn start_of(path: &Path) -> (Vec<u8>, u64) {
    const START: usize = 256 << 10;
    let file = std::fs::File::open(path).expect("a file");
    let length = file.metadata().expect("its length").len();
    let mut bytes = Vec::new();
    file.take(START as u64).read_to_end(&mut bytes).expect("read");
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1));
    assert!(bytes.len() < START, "{} is larger than this test copies", path.display());
    (bytes, length)
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("the directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            std::fs::create_dir(&target).expect("a directory");
            copy_tree(&entry.path(), &target);
        } else {
            let (bytes, length) = start_of(&entry.path());
            std::fs::write(&target, &bytes).expect("written");
            let file = std::fs::OpenOptions::new().write(true).open(&target).expect("the file");
            file.set_len(length).expect("its length");
        }
    }
}
