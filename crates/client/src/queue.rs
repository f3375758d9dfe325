//! A queue of keys to look at: each at most once, with delays, and with a back-off for keys that fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cox_env::Env;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

/// The first and the longest pause of a key that fails, as upstream's default controller rate limiter.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1000);
/// More keys than objects in any cluster: beyond it something is wrong, and keys are refused loudly.
const KEYS_MAX: usize = 1_000_000;

/// What a look at a key ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing to do until something changes.
    Done,
    /// Look again after this time.
    After(Duration),
}

/// A queue of keys. Cloning shares it.
pub struct Queue<K>(Arc<Inner<K>>);

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Queue(self.0.clone())
    }
}

struct Inner<K> {
    env: Env,
    name: &'static str,
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K> {
    /// To be handed out, in order; exactly the keys of `waiting` that aren't in `working`.
    ready: VecDeque<K>,
    waiting: BTreeSet<K>,
    working: BTreeSet<K>,
    /// By due time; the number keeps keys with the same time in order.
    delayed: BTreeMap<(Duration, u64), K>,
    due: BTreeMap<K, (Duration, u64)>,
    failures: BTreeMap<K, u32>,
    serial: u64,
}

impl<K: Ord + Clone> State<K> {
    fn put(&mut self, key: K) -> bool {
        if let Some(at) = self.due.remove(&key) {
            self.delayed.remove(&at);
        }
        if !self.waiting.insert(key.clone()) {
            return false;
        }
        if self.working.contains(&key) {
            return false;
        }
        self.ready.push_back(key);
        true
    }
}

impl<K: Ord + Clone + Display + Send + 'static> Queue<K> {
    /// An empty queue; `name` is for logs.
    pub fn new(env: Env, name: &'static str) -> Queue<K> {
        let state = State {
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            working: BTreeSet::new(),
            delayed: BTreeMap::new(),
            due: BTreeMap::new(),
            failures: BTreeMap::new(),
            serial: 0,
        };
        Queue(Arc::new(Inner { env, name, state: Mutex::new(state), changed: Notify::new() }))
    }

    /// Asks for a look at `key` as soon as possible; while it is being looked at, for another one afterwards.
    pub fn add(&self, key: K) {
        let mut state = self.0.state.lock();
        if state.waiting.len() >= KEYS_MAX {
            tracing::error!(queue = self.0.name, %key, "key dropped: more than {KEYS_MAX} keys wait");
            return;
        }
        if state.put(key) {
            drop(state);
            self.0.changed.notify_one();
        }
    }

    /// Asks for a look at `key` after `delay`; of several delays of a key the shortest counts.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let due = self.0.env.elapsed() + delay;
        let mut state = self.0.state.lock();
        if state.due.get(&key).is_some_and(|(known, _)| *known <= due) {
            return;
        }
        if state.delayed.len() >= KEYS_MAX {
            tracing::error!(queue = self.0.name, %key, "key dropped: more than {KEYS_MAX} keys wait");
            return;
        }
        state.serial += 1;
        let at = (due, state.serial);
        if let Some(before) = state.due.insert(key.clone(), at) {
            state.delayed.remove(&before);
        }
        state.delayed.insert(at, key);
        drop(state);
        self.0.changed.notify_one();
    }

    /// Asks for a look at `key` after a pause that doubles with every failure of this key.
    pub fn add_failed(&self, key: K) {
        let failures = {
            let mut state = self.0.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures += 1;
            *failures
        };
        let pause = BACKOFF_MIN.saturating_mul(1 << (failures - 1).min(30)).min(BACKOFF_MAX);
        self.add_after(key, pause);
    }

    /// How often `key` has failed in a row.
    pub fn failures(&self, key: &K) -> u32 {
        self.0.state.lock().failures.get(key).copied().unwrap_or(0)
    }

    /// Forgets the failures of `key`.
    pub fn forget(&self, key: &K) {
        self.0.state.lock().failures.remove(key);
    }

    /// How many keys wait to be looked at now.
    pub fn len(&self) -> usize {
        self.0.state.lock().ready.len()
    }

    /// Whether no key waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next key; nobody else gets it until [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let pause = {
                let now = self.0.env.elapsed();
                let mut state = self.0.state.lock();
                while let Some(entry) = state.delayed.first_entry() {
                    if entry.key().0 > now {
                        break;
                    }
                    let key = entry.remove();
                    state.put(key);
                }
                if let Some(key) = state.ready.pop_front() {
                    state.waiting.remove(&key);
                    state.working.insert(key.clone());
                    if !state.ready.is_empty() {
                        self.0.changed.notify_one();
                    }
                    return key;
                }
                state.delayed.first_key_value().map(|((due, _), _)| due.saturating_sub(now))
            };
            match pause {
                None => self.0.changed.notified().await,
                Some(pause) => tokio::select! {
                    biased;
                    () = self.0.changed.notified() => {}
                    () = self.0.env.sleep(pause) => {}
                },
            }
        }
    }

    /// Ends the look at `key`; if it was asked for meanwhile, it is ready again.
    pub fn done(&self, key: &K) {
        let mut state = self.0.state.lock();
        if state.working.remove(key) && state.waiting.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.0.changed.notify_one();
        }
    }

    /// Looks at keys as they come, at most `workers` at once, for as long as the component lives. A look that
    /// fails is repeated after the key's back-off.
    pub async fn run<F, Fut, E>(&self, workers: usize, look: F)
    where
        K: Sync,
        F: Fn(K) -> Fut,
        Fut: Future<Output = Result<Next, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let slots = Arc::new(Semaphore::new(workers));
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let key = self.next().await;
            let working = Working { queue: self.clone(), key: key.clone() };
            let outcome = look(key.clone());
            let queue = self.clone();
            self.0.env.spawn(async move {
                let _slot = slot;
                match outcome.await {
                    Ok(next) => {
                        queue.forget(&key);
                        if let Next::After(delay) = next {
                            queue.add_after(key, delay);
                        }
                    }
                    Err(error) => {
                        tracing::debug!(queue = queue.0.name, %key, %error, "will be tried again");
                        queue.add_failed(key);
                    }
                }
                drop(working);
            });
        }
    }
}

/// A key that is being looked at; given back even when the look panics.
struct Working<K: Ord + Clone + Display + Send + 'static> {
    queue: Queue<K>,
    key: K,
}

impl<K: Ord + Clone + Display + Send + 'static> Drop for Working<K> {
    fn drop(&mut self) {
        self.queue.done(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn queue() -> (Env, Queue<String>) {
        let env = Env::simulated(1, "2026-01-01T00:00:00Z".parse().unwrap());
        (env.clone(), Queue::new(env, "test"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_handed_out_once_and_again_when_asked_for_meanwhile() {
        let (_, queue) = queue();
        queue.add("a".into());
        queue.add("a".into());
        assert_eq!(queue.next().await, "a");
        assert!(queue.next().now_or_never().is_none());
        queue.add("a".into());
        assert!(queue.next().now_or_never().is_none(), "nobody else gets a key that is being looked at");
        queue.done(&"a".into());
        assert_eq!(queue.next().await, "a");
        queue.done(&"a".into());
        assert!(queue.next().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_shortest_delay_counts() {
        let (env, queue) = queue();
        queue.add_after("a".into(), Duration::from_secs(9));
        queue.add_after("a".into(), Duration::from_secs(3));
        queue.add_after("a".into(), Duration::from_secs(5));
        let start = env.elapsed();
        assert_eq!(queue.next().await, "a");
        assert_eq!((env.elapsed() - start).as_secs(), 3);
        queue.done(&"a".into());
        assert!(queue.next().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_are_forgotten() {
        let (env, queue) = queue();
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let start = env.elapsed();
            queue.add_failed("a".into());
            let key = queue.next().await;
            queue.done(&key);
            pauses.push((env.elapsed() - start).as_millis());
        }
        assert_eq!(pauses, [5, 10, 20, 40]);
        queue.forget(&"a".into());
        assert_eq!(queue.failures(&"a".into()), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn run_repeats_failed_looks() {
        let (env, queue) = queue();
        let looks = Arc::new(Mutex::new(0));
        let counted = looks.clone();
        let running = queue.clone();
        queue.add("a".into());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        env.spawn(async move {
            running
                .run(2, move |_key| {
                    let (looks, sender) = (counted.clone(), sender.clone());
                    async move {
                        *looks.lock() += 1;
                        if *looks.lock() < 3 {
                            return Err("not yet");
                        }
                        if let Some(sender) = sender.lock().take() {
                            let _ = sender.send(());
                        }
                        Ok(Next::Done)
                    }
                })
                .await;
        });
        receiver.await.unwrap();
        assert_eq!(*looks.lock(), 3);
    }
}
