//! How many seats a level would have used: average, deviation and highest number over a time.
//! Source: KEP-1040, "Dispatching", the statistics of seat demand.

use std::time::Duration;

/// How much of what was known before counts where demand falls. With a step of ten seconds half of it is forgotten
/// in five minutes.
const SMOOTHING: f64 = 0.977;

/// Follows a number through time.
#[derive(Debug, Default)]
pub(super) struct Demand {
    now: f64,
    at: Duration,
    since: Duration,
    highest: f64,
    /// The integrals of the number and of its square.
    sum: f64,
    squares: f64,
    smoothed: f64,
}

/// What a time was like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    /// The highest number.
    pub(super) highest: f64,
    /// What is to be expected: rises at once with what was seen, falls slowly.
    pub(super) smoothed: f64,
}

impl Demand {
    fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.sum += self.now * passed;
        self.squares += self.now * self.now * passed;
    }

    /// From now on the number is this.
    pub(super) fn set(&mut self, now: Duration, number: usize) {
        self.advance(now);
        self.now = number as f64;
        self.highest = self.highest.max(self.now);
    }

    /// What was seen since the last time; a new time begins.
    pub(super) fn take(&mut self, now: Duration) -> Seen {
        self.advance(now);
        let time = now.saturating_sub(self.since).as_secs_f64();
        if time > 0.0 {
            let average = self.sum / time;
            let deviation = (self.squares / time - average * average).max(0.0).sqrt();
            let envelope = average + deviation;
            self.smoothed = envelope.max(SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * envelope);
        }
        let seen = Seen { highest: self.highest, smoothed: self.smoothed };
        (self.sum, self.squares, self.highest, self.since) = (0.0, 0.0, self.now, now);
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn rises_at_once_and_falls_slowly() {
        let mut demand = Demand::default();
        demand.set(s(0), 10);
        demand.set(s(5), 0);
        // Half of the time 10, half of it 0: 5 on average, 5 away from it.
        assert_eq!(demand.take(s(10)), Seen { highest: 10.0, smoothed: 10.0 });
        let seen = demand.take(s(20));
        assert_eq!(seen.highest, 0.0);
        assert!((seen.smoothed - 9.77).abs() < 1e-9, "{seen:?}");
        let seen = (3..33).map(|ten| demand.take(s(ten * 10))).last().unwrap();
        assert!((4.5..5.2).contains(&seen.smoothed), "half of it after five minutes: {seen:?}");
        demand.set(s(330), 4);
        assert_eq!(demand.take(s(330)).highest, 4.0);
        assert_eq!(demand.take(s(340)).highest, 4.0, "it is still so many");
    }
}
