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

struct Waiting {
    pod: Arc<PodInfo>,
    rank: Rank,
    attempts: u32,
    /// When it may be tried again, after a failure.
    ready_at: Duration,
    /// When its last try was.
    failed_at: Duration,
    active: bool,
}

/// The queue. Times are those of the caller's clock since its start.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<String, Waiting>,
    active: BTreeSet<Rank>,
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
                self.activate(&uid);
            }
            return;
        }
        self.counter += 1;
        let rank = (Reverse(pod.priority()), self.counter, uid.clone());
        self.active.insert(rank.clone());
        let waiting =
            Waiting { pod, rank, attempts: 0, ready_at: Duration::ZERO, failed_at: Duration::ZERO, active: true };
        self.waiting.insert(uid, waiting);
    }

    /// A pod that needs no scheduling any more.
    pub(crate) fn remove(&mut self, uid: &str) {
        if let Some(gone) = self.waiting.remove(uid) {
            self.active.remove(&gone.rank);
        }
    }

    /// The next pod to try.
    pub(crate) fn pop(&mut self) -> Option<Arc<PodInfo>> {
        let (_, _, uid) = self.active.pop_first()?;
        let waiting = self.waiting.get_mut(&uid)?;
        waiting.active = false;
        waiting.attempts += 1;
        Some(waiting.pod.clone())
    }

    /// A try has failed; the pod waits for something to change.
    pub(crate) fn failed(&mut self, uid: &str, now: Duration) {
        if let Some(waiting) = self.waiting.get_mut(uid) {
            let factor = 1u32 << waiting.attempts.saturating_sub(1).min(10);
            waiting.ready_at = now + (BACKOFF_FIRST * factor).min(BACKOFF_MAX);
            waiting.failed_at = now;
        }
    }

    /// A pod whose binding was refused: tried again after a back-off, whatever changes.
    pub(crate) fn add_later(&mut self, pod: Arc<PodInfo>, now: Duration) {
        let uid = pod.uid.clone();
        self.add(pod);
        if let Some(waiting) = self.waiting.get_mut(&uid) {
            self.active.remove(&waiting.rank);
            waiting.active = false;
            waiting.attempts = waiting.attempts.max(1);
            waiting.ready_at = now + BACKOFF_FIRST;
            waiting.failed_at = Duration::ZERO;
        }
    }

    /// Something has changed in the cluster that may help: pods whose back-off is over become active, the others at
    /// its end.
    pub(crate) fn changed(&mut self, now: Duration) {
        let uids: Vec<String> = self.waiting.iter().filter(|(_, waiting)| !waiting.active).map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            if let Some(waiting) = self.waiting.get_mut(&uid)
                && waiting.ready_at > Duration::ZERO
            {
                waiting.failed_at = Duration::ZERO;
                if waiting.ready_at <= now {
                    self.activate(&uid);
                }
            }
        }
    }

    /// Makes pods active whose time has come; brings the time of the next.
    pub(crate) fn tick(&mut self, now: Duration) -> Option<Duration> {
        let mut next: Option<Duration> = None;
        let mut due = Vec::new();
        for (uid, waiting) in self.waiting.iter().filter(|(_, waiting)| !waiting.active && waiting.ready_at > Duration::ZERO) {
            let at = if waiting.failed_at == Duration::ZERO { waiting.ready_at } else { waiting.failed_at + FLUSH_AFTER };
            if at <= now {
                due.push(uid.clone());
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        due.iter().for_each(|uid| self.activate(uid));
        next
    }

    fn activate(&mut self, uid: &str) {
        if let Some(waiting) = self.waiting.get_mut(uid) {
            waiting.active = true;
            self.active.insert(waiting.rank.clone());
        }
    }
}
