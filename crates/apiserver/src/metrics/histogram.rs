//! Counts by size, without locks.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where the buckets of a histogram end, in whole units, and how these ends are written.
pub(crate) struct Bounds {
    pub(super) at: &'static [u64],
    pub(super) text: &'static [&'static str],
}

const MS: u64 = 1_000_000;

/// Of `apiserver_request_duration_seconds`, in nanoseconds.
pub(super) static REQUEST: Bounds = Bounds {
    at: &[
        5 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        200 * MS,
        400 * MS,
        600 * MS,
        800 * MS,
        1000 * MS,
        1250 * MS,
        1500 * MS,
        2000 * MS,
        3000 * MS,
        4000 * MS,
        5000 * MS,
        6000 * MS,
        8000 * MS,
        10_000 * MS,
        15_000 * MS,
        20_000 * MS,
        30_000 * MS,
        45_000 * MS,
        60_000 * MS,
    ],
    text: &[
        "0.005", "0.025", "0.05", "0.1", "0.2", "0.4", "0.6", "0.8", "1", "1.25", "1.5", "2", "3", "4", "5",
        "6", "8", "10", "15", "20", "30", "45", "60",
    ],
};

/// How many of the first bounds of [`REQUEST`] `apiserver_request_sli_duration_seconds` doesn't have.
pub(super) const FINER_THAN_SLI: usize = 2;

/// Of authentication and authorization, in nanoseconds: from a millisecond on, each twice the one before.
pub(super) static IDENTITY: Bounds = Bounds {
    at: &[
        MS,
        2 * MS,
        4 * MS,
        8 * MS,
        16 * MS,
        32 * MS,
        64 * MS,
        128 * MS,
        256 * MS,
        512 * MS,
        1024 * MS,
        2048 * MS,
        4096 * MS,
        8192 * MS,
        16_384 * MS,
    ],
    text: &[
        "0.001", "0.002", "0.004", "0.008", "0.016", "0.032", "0.064", "0.128", "0.256", "0.512", "1.024",
        "2.048", "4.096", "8.192", "16.384",
    ],
};

/// Of waiting to be let in, in nanoseconds. The first is for those who didn't have to.
pub(super) static WAIT: Bounds = Bounds {
    at: &[
        0,
        5 * MS,
        20 * MS,
        50 * MS,
        100 * MS,
        200 * MS,
        500 * MS,
        1000 * MS,
        2000 * MS,
        5000 * MS,
        10_000 * MS,
        15_000 * MS,
        30_000 * MS,
    ],
    text: &["0", "0.005", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10", "15", "30"],
};

/// Of answers, in bytes.
pub(super) static ANSWER: Bounds = Bounds {
    at: &[1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000],
    text: &["1000", "10000", "100000", "1e+06", "1e+07", "1e+08", "1e+09"],
};

/// Of events in watches, in bytes.
pub(super) static EVENT: Bounds = Bounds {
    at: &[1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072],
    text: &["1024", "2048", "4096", "8192", "16384", "32768", "65536", "131072"],
};

/// Counts by size.
pub(crate) struct Histogram {
    pub(super) bounds: &'static Bounds,
    /// One for each bound, and one for what is beyond the last.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram as it was at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// How many are up to each bound, and at the end how many there are.
    pub(super) up_to: Vec<u64>,
    pub(super) sum: u64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static Bounds) -> Histogram {
        let counts = (0..=bounds.at.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts one.
    pub(crate) fn observe(&self, size: u64) {
        // Nearly everything is in the first bucket.
        let bucket = self.bounds.at.iter().position(|&bound| size <= bound).unwrap_or(self.bounds.at.len());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Read {
        let mut total = 0;
        let up_to = self.counts.iter().map(|count| {
            total += count.load(Ordering::Relaxed);
            total
        });
        Read { up_to: up_to.collect(), sum: self.sum.load(Ordering::Relaxed) }
    }
}

impl Read {
    /// Nothing, over as many bounds.
    pub(super) fn none(bounds: &Bounds) -> Read {
        Read { up_to: vec![0; bounds.at.len() + 1], sum: 0 }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.up_to.last().copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, other: &Read) {
        for (mine, theirs) in self.up_to.iter_mut().zip(&other.up_to) {
            *mine += theirs;
        }
        self.sum += other.sum;
    }

    /// Takes out what was added before.
    pub(super) fn subtract(&mut self, other: &Read) {
        for (mine, theirs) in self.up_to.iter_mut().zip(&other.up_to) {
            *mine = mine.saturating_sub(*theirs);
        }
        self.sum = self.sum.saturating_sub(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_beyond_the_last_counts() {
        let histogram = Histogram::new(&ANSWER);
        for size in [0, 1000, 1001, 2_000_000_000] {
            histogram.observe(size);
        }
        let read = histogram.read();
        assert_eq!(read.up_to, [2, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!((read.sum, read.count()), (2_000_002_001, 4));
    }

    #[test]
    fn bounds_are_what_they_say() {
        for (bounds, unit) in [(&REQUEST, 1e9), (&IDENTITY, 1e9), (&WAIT, 1e9), (&ANSWER, 1.0), (&EVENT, 1.0)]
        {
            assert_eq!(bounds.at.len(), bounds.text.len());
            for (at, text) in bounds.at.iter().zip(bounds.text) {
                let said: f64 = text.parse().unwrap();
                assert!((said * unit - *at as f64).abs() < 1.0, "{text}");
            }
            assert!(bounds.at.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
