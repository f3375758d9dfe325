//! What goes wrong, under virtual time: a backend in memory that refuses, breaks, is slow or doesn't answer.

mod support;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cox_env::Env;
use cox_store::backend::Write;
use cox_store::backend::memory::{Fate, Fault, Faults};
use cox_store::{BackendError, Error, EventKind, Expect, Interest, Limits, Memory, Store, Txn};
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;

use support::{conflict, describe, key, number, pod};

/// Faults by plan, then none.
#[derive(Default)]
struct Plan {
    faults: Mutex<VecDeque<Fault>>,
    always: Fault,
    batches: Mutex<Vec<usize>>,
}

impl Plan {
    fn of(fates: &[Fate]) -> Arc<Plan> {
        let faults = fates.iter().map(|fate| Fault { fate: *fate, ..Fault::default() }).collect();
        Arc::new(Plan { faults: Mutex::new(faults), ..Plan::default() })
    }
}

impl Faults for Plan {
    fn on(&self, batch: &[Write]) -> Fault {
        self.batches.lock().push(batch.len());
        self.faults.lock().pop_front().unwrap_or(self.always)
    }
}

fn world() -> Env {
    Env::simulated(1, jiff::Timestamp::UNIX_EPOCH)
}

async fn open(env: &Env, memory: &Memory) -> Store {
    open_with(env, memory, Limits::default()).await
}

async fn open_with(env: &Env, memory: &Memory, limits: Limits) -> Store {
    Store::open(env.clone(), Box::new(memory.clone()), limits, describe()).await.expect("the store opens")
}

fn put(name: &str, expect: Expect, number: u64) -> Txn {
    Txn::put(key("n", name), expect, pod("n", name, number))
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_leaves_everything_as_it_was() {
    let env = world();
    let memory = Memory::new(env.clone()).with_faults(Plan::of(&[Fate::Kept, Fate::Refused]));
    let store = open(&env, &memory).await;
    let first = store.commit(put("a", Expect::Absent, 1)).await.expect("put").revision;
    let mut watcher = store.watch("pods", first, Interest::all(), None).expect("a watch");
    let both = futures::join!(
        store.commit(put("a", Expect::Revision(first), 2)),
        store.commit(put("b", Expect::Absent, 1)),
    );
    for refused in [both.0, both.1] {
        let Err(Error::Backend(cause)) = refused else { panic!("{refused:?}") };
        assert!(matches!(*cause, BackendError::Unavailable(_)));
    }
    assert_eq!((store.revision(), store.snapshot("pods").len()), (first, 1));
    assert_eq!(store.get(&key("n", "a")).map(|object| object.revision()), Some(first));
    assert!(watcher.next().now_or_never().is_none());
    // It is worth trying again.
    let again = store.commit(put("a", Expect::Revision(first), 2)).await.expect("put");
    assert_eq!(again.revision, first + 1);
    assert_eq!(watcher.next().await.expect("an event").expect("no error").revision(), first + 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_journal_makes_the_store_read_only() {
    let env = world();
    let memory = Memory::new(env.clone()).with_faults(Plan::of(&[Fate::Kept, Fate::Broken]));
    let store = open(&env, &memory).await;
    let first = store.commit(put("a", Expect::Absent, 1)).await.expect("put").revision;
    let mut watcher = store.watch("pods", 1, Interest::all(), None).expect("a watch");
    let broken = store.commit(put("b", Expect::Absent, 1)).await;
    assert!(matches!(&broken, Err(Error::Backend(cause)) if matches!(**cause, BackendError::Journal(_))));
    assert!(store.failure().is_some());
    let refused = store.commit(put("c", Expect::Absent, 1)).await.expect_err("it is read-only");
    assert_eq!(refused.to_string(), "the store is read-only since its journal failed: the journal failed");
    assert_eq!((store.revision(), store.snapshot("pods").len()), (first, 1));
    assert_eq!(watcher.next().await.expect("an event").expect("no error").revision(), first);
    assert!(watcher.next().now_or_never().is_none(), "watches go on");
    store.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_the_store_read_only_and_a_restart_knows() {
    let env = world();
    let memory = Memory::new(env.clone());
    let store = open(&env, &memory.clone().with_faults(Plan::of(&[Fate::Unanswered]))).await;
    let start = store.revision();
    assert!(matches!(store.commit(put("a", Expect::Absent, 1)).await, Err(Error::Backend(_))));
    assert!(matches!(store.commit(put("b", Expect::Absent, 1)).await, Err(Error::ReadOnly(_))));
    assert_eq!((store.revision(), store.get(&key("n", "a")).is_none()), (start, true));
    store.close().await;
    let store = open(&env, &memory).await;
    assert_eq!((store.revision(), store.get(&key("n", "a")).is_some()), (start + 1, true));
    assert_eq!(store.commit(put("b", Expect::Absent, 1)).await.expect("put").revision, start + 2);
}

#[tokio::test(start_paused = true)]
async fn writers_share_a_sync_and_a_full_queue_says_so() {
    let env = world();
    let plan = Arc::new(Plan {
        always: Fault { before: Duration::from_millis(10), ..Fault::default() },
        ..Plan::default()
    });
    let memory = Memory::new(env.clone()).with_faults(plan.clone());
    let limits = Limits { queue_max: 100, batch_max: 60, ..Limits::default() };
    let store = open_with(&env, &memory, limits).await;
    let begin = env.elapsed();
    let names: Vec<String> = (0..150).map(|at| format!("p{at}")).collect();
    let writers = names.iter().map(|name| store.commit(put(name, Expect::Absent, 1)));
    let results = futures::future::join_all(writers).await;
    let busy = results.iter().filter(|result| matches!(result, Err(Error::TooBusy { limit: 100 }))).count();
    let done = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!((done, busy), (100, 50));
    assert_eq!(*plan.batches.lock(), [60, 40]);
    assert_eq!(env.elapsed() - begin, Duration::from_millis(20));
}

/// While a batch is on its way, the next one is checked against it, and the one before becomes visible.
#[tokio::test(start_paused = true)]
async fn batches_overlap_without_losing_sight_of_each_other() {
    let env = world();
    let plan = Arc::new(Plan {
        always: Fault { before: Duration::from_millis(10), ..Fault::default() },
        ..Plan::default()
    });
    let store = open(&env, &Memory::new(env.clone()).with_faults(plan.clone())).await;
    let first = store.commit(put("a", Expect::Absent, 1)).await.expect("put").revision;
    let begin = env.elapsed();
    let timed = |millis: u64, txn: Txn| {
        let (env, store) = (&env, &store);
        async move {
            env.sleep(Duration::from_millis(millis)).await;
            let result = store.commit(txn).await;
            (result, (env.elapsed() - begin).as_millis())
        }
    };
    let (won, lost, other) = futures::join!(
        timed(0, put("a", Expect::Revision(first), 2)),
        timed(5, put("a", Expect::Revision(first), 3)),
        timed(5, put("b", Expect::Absent, 1)),
    );
    assert_eq!((won.0.expect("put").revision, won.1), (first + 1, 10), "it doesn't wait for the next batch");
    assert_eq!((conflict(lost.0).map(|object| object.revision()), lost.1), (Some(first + 1), 20));
    assert_eq!((other.0.expect("put").revision, other.1), (first + 2, 20));
    assert_eq!(store.get(&key("n", "a")).map(|object| number(&object)), Some(2));
}

/// Whoever hears of a commit sees it, on any thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answered_write_is_visible_on_every_thread() {
    let env = Env::real();
    let store = open(&env, &Memory::new(env.clone())).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let name = format!("w{writer}");
                for at in 0..3000 {
                    let done = store.commit(put(&name, Expect::Any, at)).await.expect("put");
                    assert!(store.revision() >= done.revision);
                    let snapshot = store.snapshot("pods");
                    assert!(snapshot.revision() >= done.revision);
                    let path = format!("n/{name}");
                    assert_eq!(snapshot.get(&path).map(|object| object.revision()), Some(done.revision));
                    let newest = snapshot.iter().map(|(_, object)| object.revision()).max();
                    assert!(newest <= Some(snapshot.revision()), "a snapshot has what is after it");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn history_ends_by_age_where_nothing_is_written() {
    let env = world();
    let store = open(&env, &Memory::new(env.clone())).await;
    let first = store.commit(put("a", Expect::Absent, 1)).await.expect("put").revision;
    store.retain(&store.snapshot("pods"));
    let last = store.commit(put("a", Expect::Any, 2)).await.expect("put").revision;
    env.sleep(Duration::from_secs(200)).await;
    assert!(store.watch("pods", first, Interest::all(), None).is_ok());
    assert!(store.snapshot_at("pods", first).is_ok());
    env.sleep(Duration::from_secs(200)).await;
    assert!(matches!(store.watch("pods", first, Interest::all(), None), Err(Error::Expired { .. })));
    assert!(matches!(store.snapshot_at("pods", first), Err(Error::Expired { .. })));
    assert!(store.watch("pods", last, Interest::all(), None).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_middle_answers_nobody_and_loses_nothing() {
    let env = world();
    let slow = Arc::new(Plan {
        always: Fault { after: Duration::from_secs(1), ..Fault::default() },
        ..Plan::default()
    });
    let memory = Memory::new(env.clone());
    let machine = env.component("machine");
    let store = open(&machine, &memory.clone().with_faults(slow)).await;
    let commit = store.commit(put("a", Expect::Absent, 1));
    let crash = async {
        env.sleep(Duration::from_millis(500)).await;
        machine.tasks().end_and_wait().await;
    };
    let (result, ()) = futures::join!(commit, crash);
    assert!(matches!(result, Err(Error::Closed)), "{result:?}");
    assert!(store.get(&key("n", "a")).is_none());
    let store = open(&env, &memory).await;
    assert_eq!(store.get(&key("n", "a")).map(|object| number(&object)), Some(1));
}

#[tokio::test(start_paused = true)]
async fn several_stores_on_one_backend_agree() {
    let env = world();
    let memory = Memory::shared(env.clone());
    let (one, two) = (open(&env, &memory).await, open(&env, &memory).await);
    let mut watcher = two.watch("pods", two.revision(), Interest::all(), None).expect("a watch");
    let first = one.commit(put("a", Expect::Absent, 1)).await.expect("put").revision;
    two.wait_until(first).await.expect("it comes");
    assert_eq!(two.get(&key("n", "a")).map(|object| number(&object)), Some(1));
    let (left, right) = futures::join!(
        one.commit(put("a", Expect::Revision(first), 2)),
        two.commit(put("a", Expect::Revision(first), 3)),
    );
    let (won, lost) = if left.is_ok() { (left, right) } else { (right, left) };
    let won = won.expect("one of them wins");
    let current = conflict(lost).expect("the winner's");
    assert_eq!((current.revision(), current.json()), (won.revision, won.object().json()));
    let gone = two.commit(Txn::delete(key("n", "a"), Expect::Any)).await.expect("deleted");
    assert_eq!(gone.object().revision(), won.revision + 1);
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.push(watcher.next().await.expect("an event").expect("no error").kind);
    }
    assert_eq!(kinds, [EventKind::Created, EventKind::Updated, EventKind::Deleted]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_missed_history_loads_anew() {
    let env = world();
    let memory = Memory::shared(env.clone());
    let one = open(&env, &memory).await;
    let start = one.revision();
    let first = one.commit(put("a", Expect::Absent, 1)).await.expect("put").revision;
    // Its tail starts at the first poll of its task: until then everything below is history.
    let two = open(&env, &memory).await;
    let mut watcher = two.watch("pods", two.revision(), Interest::all(), None).expect("a watch");
    assert_eq!(two.revision(), first);
    // One turn of the runtime would let it follow: write past it.
    let other = memory.clone();
    let writes = |revision| Write { revision, ops: vec![] };
    use cox_store::Backend;
    other.commit(Arc::new(vec![writes(0), writes(0)])).now_or_never().expect("at once").expect("written");
    memory.compact();
    two.wait_until(start + 3).await.expect("it comes");
    let Some(Err(Error::Expired { .. })) = watcher.next().await else { panic!("the watch goes on") };
    assert_eq!(two.snapshot("pods").len(), 1);
    let next = two.commit(put("b", Expect::Absent, 1)).await.expect("put");
    assert_eq!(two.get(&key("n", "b")).map(|object| object.revision()), Some(next.revision));
}
