//! The highest number within a second: what is over in a moment would be missed by who looks now and then.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The highest number within the second that passes and the one before.
#[derive(Default)]
pub(crate) struct Peak {
    second: AtomicU64,
    now: AtomicUsize,
    before: AtomicUsize,
}

impl Peak {
    /// Takes in a number. Two at the turn of a second may lose one of them.
    pub(super) fn see(&self, second: u64, number: usize) {
        let last = self.second.load(Ordering::Relaxed);
        if last != second
            && self.second.compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let before = self.now.swap(number, Ordering::Relaxed);
            self.before.store(if last + 1 == second { before } else { 0 }, Ordering::Relaxed);
        }
        self.now.fetch_max(number, Ordering::Relaxed);
    }

    /// The highest number lately; `number` is the one now.
    pub(super) fn highest(&self, second: u64, number: usize) -> usize {
        let (now, before) = (self.now.load(Ordering::Relaxed), self.before.load(Ordering::Relaxed));
        match second.saturating_sub(self.second.load(Ordering::Relaxed)) {
            0 => now.max(before).max(number),
            1 => now.max(number),
            _ => number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_a_second_ago_is_seen_and_what_was_before_is_not() {
        let peak = Peak::default();
        peak.see(10, 3);
        peak.see(10, 7);
        peak.see(10, 2);
        assert_eq!(peak.highest(10, 2), 7);
        peak.see(11, 4);
        assert_eq!(peak.highest(11, 4), 7);
        assert_eq!(peak.highest(12, 0), 4);
        assert_eq!(peak.highest(13, 1), 1);
        peak.see(20, 1);
        assert_eq!(peak.highest(20, 1), 1);
    }
}
