//! The time of a world: the system's, or virtual time counted by a paused tokio runtime.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A source of time.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time since an arbitrary start that never goes back.
    fn elapsed(&self) -> Duration;
}

/// The operating system's time.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        // The machine's own monotonic clock, counted from the first call.
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

/// Time that passes only when every task waits (tokio's `start_paused`).
pub struct VirtualClock {
    wall_start: Timestamp,
    start: Instant,
}

impl VirtualClock {
    /// A clock that shows `wall_start` now. Needs a tokio runtime around it.
    pub fn starting_at(wall_start: Timestamp) -> Self {
        VirtualClock { wall_start, start: Instant::now() }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.wall_start + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
