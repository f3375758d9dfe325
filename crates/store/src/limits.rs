//! The limits of a store.

use std::time::Duration;

/// How much of everything there may be. Every limit is an error of its own, or (for history) `Expired`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Writers that may wait for the committer; more get `TooBusy`.
    pub queue_max: usize,
    /// Transactions in one group commit.
    pub batch_max: usize,
    /// Bytes in one group commit (one transaction may be larger).
    pub batch_bytes_max: usize,
    /// Bytes of one object's JSON. etcd's limit for a request is the same.
    pub object_bytes_max: usize,
    /// Events kept for each prefix, for watches that resume.
    pub window_events_max: usize,
    /// Bytes of objects that those events may keep alive, for each prefix.
    pub window_bytes_max: usize,
    /// How old events and retained snapshots may get. Upstream compacts etcd at the same age.
    pub history_age_max: Duration,
    /// Snapshots retained for paged lists.
    pub snapshots_max: usize,
    /// Watchers in all.
    pub watchers_max: usize,
    /// Events that may wait in one watcher, where it doesn't say itself.
    pub watcher_events_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            queue_max: 4096,
            batch_max: 512,
            batch_bytes_max: 4 << 20,
            object_bytes_max: 3 << 19,
            window_events_max: 100_000,
            window_bytes_max: 4 << 20,
            history_age_max: Duration::from_secs(300),
            snapshots_max: 64,
            watchers_max: 100_000,
            watcher_events_max: 10_000,
        }
    }
}
