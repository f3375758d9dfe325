//! What API Priority and Fairness did, by schema and level.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, WAIT};

/// Why a request was refused.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub(crate) enum Rejection {
    Cancelled,
    ConcurrencyLimit,
    QueueFull,
    TimeOut,
}

/// As upstream names the reasons, in the order of the enum.
pub(super) const REASONS: [&str; 4] = ["cancelled", "concurrency-limit", "queue-full", "time-out"];

/// Counts of one schema.
pub(crate) struct FlowCounts {
    pub(super) waiting: AtomicI64,
    pub(super) executing: AtomicI64,
    pub(super) dispatched: AtomicU64,
    pub(super) rejected: [AtomicU64; REASONS.len()],
    /// Of those that weren't let in, and of those that were.
    pub(super) waits: [Histogram; 2],
}

impl Default for FlowCounts {
    fn default() -> FlowCounts {
        FlowCounts {
            waiting: AtomicI64::new(0),
            executing: AtomicI64::new(0),
            dispatched: AtomicU64::new(0),
            rejected: [const { AtomicU64::new(0) }; REASONS.len()],
            waits: std::array::from_fn(|_| Histogram::new(&WAIT)),
        }
    }
}

impl FlowCounts {
    /// More or fewer wait.
    pub(crate) fn waiting(&self, change: i64) {
        self.waiting.fetch_add(change, Ordering::Relaxed);
    }

    /// More or fewer are being answered.
    pub(crate) fn executing(&self, change: i64) {
        self.executing.fetch_add(change, Ordering::Relaxed);
    }

    /// One is let in.
    pub(crate) fn dispatched(&self) {
        self.dispatched.fetch_add(1, Ordering::Relaxed);
    }

    /// One is refused.
    pub(crate) fn rejected(&self, reason: Rejection) {
        self.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// One has waited, and was let in or not.
    pub(crate) fn waited(&self, executes: bool, time: Duration) {
        self.waits[usize::from(executes)].observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many wait, and how many are being answered.
    #[cfg(test)]
    pub(crate) fn read(&self) -> (i64, i64) {
        (self.waiting.load(Ordering::Relaxed), self.executing.load(Ordering::Relaxed))
    }
}
