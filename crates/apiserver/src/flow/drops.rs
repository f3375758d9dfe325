//! How long refused clients of a level are to wait: longer where more are refused.
//! Source: upstream's `droppedRequestsTracker`, after TCP's way with congestion.

use std::collections::VecDeque;

const SECONDS_MAX: u64 = 32;

/// Refusals of a level, by second.
#[derive(Debug)]
pub(super) struct Drops {
    /// Seconds that are over, and how many were refused in each.
    history: VecDeque<(u64, u64)>,
    second: u64,
    count: u64,
    retry_after: u64,
    risen: Option<u64>,
}

impl Default for Drops {
    fn default() -> Drops {
        Drops { history: VecDeque::new(), second: 0, count: 0, retry_after: 1, risen: None }
    }
}

impl Drops {
    /// A request is refused in this second; how many seconds its client is to wait.
    pub(super) fn refuse(&mut self, second: u64) -> u64 {
        if second == self.second {
            self.count += 1;
            return self.retry_after;
        }
        self.history.push_back((self.second, self.count));
        self.history.retain(|(past, _)| second.saturating_sub(*past) <= SECONDS_MAX);
        (self.second, self.count) = (second, 1);
        self.adjust(second);
        self.retry_after
    }

    fn adjust(&mut self, second: u64) {
        let recent = |past: &&(u64, u64)| second.saturating_sub(past.0) <= self.retry_after;
        let refused: u64 = self.history.iter().filter(recent).map(|(_, count)| count).sum();
        let rested = self.risen.is_none_or(|risen| second.saturating_sub(risen) >= self.retry_after);
        if rested && refused >= 3 * self.retry_after {
            self.retry_after = (2 * self.retry_after).min(SECONDS_MAX);
            self.risen = Some(second);
        } else if refused < self.retry_after && self.retry_after > 1 {
            self.retry_after -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_while_many_are_refused_and_falls_one_by_one() {
        let mut drops = Drops::default();
        let mut told = Vec::new();
        for second in 100..108 {
            for _ in 0..20 {
                drops.refuse(second);
            }
            told.push(drops.refuse(second));
        }
        // After a rise there is a rest of as many seconds.
        assert_eq!(told, [1, 2, 2, 4, 4, 4, 4, 8]);
        assert_eq!([200, 300, 400].map(|second| drops.refuse(second)), [7, 6, 5]);
        let highest = (0..100_000).map(|refusal| drops.refuse(1000 + refusal / 200)).max();
        assert_eq!(highest, Some(SECONDS_MAX));
        assert!(drops.history.len() <= 33);
    }
}
