//! How many requests are being answered: reads and writes apart, of watches their beginning alone. What is let in is
//! decided by [`crate::flow`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::peak::Peak;

/// What a request is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// `get`, `list`, `watch`, and paths that are no resources.
    Read,
    /// Everything else.
    Write,
}

/// The requests that are being answered.
#[derive(Default)]
pub(crate) struct InFlight {
    reads: Arc<AtomicUsize>,
    writes: Arc<AtomicUsize>,
    reads_peak: Peak,
    writes_peak: Peak,
}

/// A request that is counted until this is dropped.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl InFlight {
    /// The highest numbers of reads and of writes lately.
    pub(crate) fn highest(&self, second: u64) -> (usize, usize) {
        let of = |peak: &Peak, count: &AtomicUsize| peak.highest(second, count.load(Ordering::Relaxed));
        (of(&self.reads_peak, &self.reads), of(&self.writes_peak, &self.writes))
    }

    /// Counts a request, in this second of the clock.
    pub(crate) fn enter(&self, sort: Sort, second: u64) -> Counted {
        let (count, peak) = match sort {
            Sort::Read => (&self.reads, &self.reads_peak),
            Sort::Write => (&self.writes, &self.writes_peak),
        };
        peak.see(second, count.fetch_add(1, Ordering::Relaxed) + 1);
        Counted(count.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_are_counted_apart_until_they_are_over() {
        let in_flight = InFlight::default();
        let reads = [in_flight.enter(Sort::Read, 5), in_flight.enter(Sort::Read, 5)];
        let write = in_flight.enter(Sort::Write, 5);
        assert_eq!(in_flight.highest(5), (2, 1));
        drop(reads);
        assert_eq!(in_flight.highest(6), (2, 1), "a second ago");
        assert_eq!(in_flight.highest(9), (0, 1));
        drop(write);
        assert_eq!(in_flight.highest(9), (0, 0));
    }
}
