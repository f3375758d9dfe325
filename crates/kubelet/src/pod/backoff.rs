//! Back-off of restarts and pulls: 10 s, doubled up to 5 min, forgotten after 10 min without trouble. The first
//! restart is immediate, the first pull's repetition isn't.
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>

use std::time::Duration;

use jiff::Timestamp;

const DELAY_FIRST: Duration = Duration::from_secs(10);
const DELAY_MAX: Duration = Duration::from_secs(300);
/// A container that ran this long starts again without delay.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// How long the next try has to wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Backoff {
    delay: Duration,
    /// When the last failure was.
    since: Timestamp,
}

impl Backoff {
    /// The state after one more failed pull at `now`.
    pub(crate) fn after_failure(before: Option<Backoff>, now: Timestamp) -> Backoff {
        let delay = match before {
            Some(before) if before.until() + FORGET_AFTER > now => {
                (before.delay * 2).clamp(DELAY_FIRST, DELAY_MAX)
            }
            _ => DELAY_FIRST,
        };
        Backoff { delay, since: now }
    }

    /// The state after one more exit at `now` of a container that is to run again.
    pub(crate) fn after_exit(before: Option<Backoff>, now: Timestamp) -> Backoff {
        match before {
            Some(before) if before.until() + FORGET_AFTER > now => Backoff::after_failure(Some(before), now),
            _ => Backoff { delay: Duration::ZERO, since: now },
        }
    }

    /// When the next try may be made.
    pub(crate) fn until(&self) -> Timestamp {
        self.since + self.delay
    }

    /// The delay, as messages show it (`10s`, `2m40s`, `5m0s`).
    pub(crate) fn shown(&self) -> String {
        let seconds = self.delay.as_secs();
        if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_five_minutes_and_forgets() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut backoff = None;
        let mut delays = Vec::new();
        for _ in 0..7 {
            let next = Backoff::after_failure(backoff, now);
            delays.push(next.shown());
            now = next.until();
            backoff = Some(next);
        }
        assert_eq!(delays, ["10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"]);
        assert_eq!(Backoff::after_failure(backoff, now + FORGET_AFTER).shown(), "10s");
    }

    #[test]
    fn the_first_restart_is_immediate() {
        let now = Timestamp::UNIX_EPOCH;
        let first = Backoff::after_exit(None, now);
        assert_eq!(first.until(), now);
        assert_eq!(Backoff::after_exit(Some(first), now).shown(), "10s");
    }
}
