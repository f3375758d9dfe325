//! Pods that wait: to be scheduled now, after a back-off, or for something to change.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/#queueing>

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::pod::PodInfo;

/// Source: upstream's `podInitialBackoffSeconds`, `podMaxBackoffSeconds`, and the flush of pods that nothing woke.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
const FLUSH_AFTER: Duration = Duration::from_secs(300);

/// Higher priority first, then who came first.
type Rank = (Reverse<i32>, u64, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be tried now.
    Active,
    /// Being tried.
    Trying,
    /// To be tried at a time.
    Backoff(Duration),
    /// To be tried when something changes, not before `ready_at`, or after a long time anyway (`flush_at`).
    Parked { ready_at: Duration, flush_at: Duration },
}

struct Waiting {
    pod: Arc<PodInfo>,
    rank: Rank,
    attempts: u32,
    state: State,
}

/// The queue. Times are those of the caller's clock since its start.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<String, Waiting>,
    active: BTreeSet<Rank>,
    due: BTreeSet<(Duration, String)>,
    parked: BTreeSet<String>,
    counter: u64,
}

impl Queue {
    /// A pod that is to be scheduled; one that waits already is brought up to date.
    pub(crate) fn add(&mut self, pod: Arc<PodInfo>) {
        let uid = pod.uid.clone();
        if let Some(known) = self.waiting.get_mut(&uid) {
            let changed = known.pod.spec() != pod.spec() || known.pod.labels != pod.labels;
            known.pod = pod;
            if changed {
                self.set(&uid, State::Active);
            }
            return;
        }
        self.counter += 1;
        let rank = (Reverse(pod.priority()), self.counter, uid.clone());
        self.waiting.insert(uid.clone(), Waiting { pod, rank, attempts: 0, state: State::Trying });
        self.set(&uid, State::Active);
    }

    /// A pod that needs no scheduling any more.
    pub(crate) fn remove(&mut self, uid: &str) {
        self.set(uid, State::Trying);
        self.waiting.remove(uid);
    }

    /// The next pod to try.
    pub(crate) fn pop(&mut self) -> Option<Arc<PodInfo>> {
        let (_, _, uid) = self.active.first()?.clone();
        self.set(&uid, State::Trying);
        let waiting = self.waiting.get_mut(&uid)?;
        waiting.attempts += 1;
        Some(waiting.pod.clone())
    }

    /// A try has failed; the pod waits for something to change.
    pub(crate) fn failed(&mut self, uid: &str, now: Duration) {
        let Some(waiting) = self.waiting.get(uid) else { return };
        let ready_at = now + backoff(waiting.attempts);
        self.set(uid, State::Parked { ready_at, flush_at: now + FLUSH_AFTER });
    }

    /// A pod whose binding was refused: tried again after a back-off, whatever changes.
    pub(crate) fn add_later(&mut self, pod: Arc<PodInfo>, now: Duration) {
        let uid = pod.uid.clone();
        self.add(pod);
        let Some(waiting) = self.waiting.get_mut(&uid) else { return };
        waiting.attempts = waiting.attempts.max(1);
        let until = now + backoff(waiting.attempts);
        self.set(&uid, State::Backoff(until));
    }

    /// Something has changed in the cluster that may help these pods: those whose back-off is over become active,
    /// the others at its end.
    pub(crate) fn changed(&mut self, now: Duration, helps: impl Fn(&PodInfo) -> bool) {
        let helped: Vec<(String, Duration)> = self
            .parked
            .iter()
            .filter_map(|uid| {
                let waiting = self.waiting.get(uid)?;
                let State::Parked { ready_at, .. } = waiting.state else { return None };
                helps(&waiting.pod).then(|| (uid.clone(), ready_at))
            })
            .collect();
        for (uid, ready_at) in helped {
            self.set(&uid, if ready_at <= now { State::Active } else { State::Backoff(ready_at) });
        }
    }

    /// Makes pods active whose time has come; brings the time of the next.
    pub(crate) fn tick(&mut self, now: Duration) -> Option<Duration> {
        while let Some((at, uid)) = self.due.first().cloned() {
            if at > now {
                return Some(at);
            }
            self.set(&uid, State::Active);
        }
        None
    }

    /// The only place where a pod's state changes, so that the sets always tell the same.
    fn set(&mut self, uid: &str, state: State) {
        let Some(waiting) = self.waiting.get_mut(uid) else { return };
        match waiting.state {
            State::Active => {
                self.active.remove(&waiting.rank);
            }
            State::Trying => {}
            State::Backoff(at) => {
                self.due.remove(&(at, uid.to_owned()));
            }
            State::Parked { flush_at, .. } => {
                self.due.remove(&(flush_at, uid.to_owned()));
                self.parked.remove(uid);
            }
        }
        waiting.state = state;
        match state {
            State::Active => {
                self.active.insert(waiting.rank.clone());
            }
            State::Trying => {}
            State::Backoff(at) => {
                self.due.insert((at, uid.to_owned()));
            }
            State::Parked { flush_at, .. } => {
                self.due.insert((flush_at, uid.to_owned()));
                self.parked.insert(uid.to_owned());
            }
        }
    }
}

fn backoff(attempts: u32) -> Duration {
    (BACKOFF_FIRST * (1u32 << attempts.saturating_sub(1).min(10))).min(BACKOFF_MAX)
}
