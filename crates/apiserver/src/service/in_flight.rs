//! How many requests are answered at once: reads and writes apart, requests that last on purpose not counted.
//! Source: `--max-requests-inflight` and `--max-mutating-requests-inflight` in
//! <https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/>

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cox_api::{Reason, Status};
use serde_json::json;

use super::peak::Peak;
use crate::auth::{MASTERS, User};

/// How long a refused client is to wait.
const RETRY_AFTER_SECONDS: u64 = 1;

/// What a request is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// `get`, `list`, and paths that are no resources.
    Read,
    /// Everything else.
    Write,
}

/// The requests that are being answered.
pub(crate) struct InFlight {
    reads: Arc<AtomicUsize>,
    writes: Arc<AtomicUsize>,
    reads_max: usize,
    writes_max: usize,
    reads_peak: Peak,
    writes_peak: Peak,
}

/// A request that is counted until this is dropped.
pub(crate) struct Counted(Option<Arc<AtomicUsize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl InFlight {
    /// With limits; zero is none, as upstream.
    pub(crate) fn new(reads_max: usize, writes_max: usize) -> InFlight {
        InFlight {
            reads: Arc::default(),
            writes: Arc::default(),
            reads_max,
            writes_max,
            reads_peak: Peak::default(),
            writes_peak: Peak::default(),
        }
    }

    /// The highest numbers of reads and of writes lately.
    pub(crate) fn highest(&self, second: u64) -> (usize, usize) {
        let of = |peak: &Peak, count: &AtomicUsize| peak.highest(second, count.load(Ordering::Relaxed));
        (of(&self.reads_peak, &self.reads), of(&self.writes_peak, &self.writes))
    }

    /// Counts a request, in this second of the clock.
    ///
    /// # Errors
    /// 429 where as many are being answered already. Upstream refuses in plain text; as a `Status` it says the same
    /// to clients that read the body. The masters are let in nevertheless, uncounted: they may have to repair
    /// what fills the server.
    pub(crate) fn enter(&self, user: &User, sort: Sort, second: u64) -> Result<Counted, Status> {
        let (count, max, peak) = match sort {
            Sort::Read => (&self.reads, self.reads_max, &self.reads_peak),
            Sort::Write => (&self.writes, self.writes_max, &self.writes_peak),
        };
        let before = count.fetch_add(1, Ordering::Relaxed);
        if max == 0 || before < max {
            peak.see(second, before + 1);
            return Ok(Counted(Some(count.clone())));
        }
        count.fetch_sub(1, Ordering::Relaxed);
        if user.is_in(MASTERS) {
            return Ok(Counted(None));
        }
        let message = "Too many requests, please try again later.";
        Err(Status::new(429, Reason::TooManyRequests, message)
            .with_details(json!({"retryAfterSeconds": RETRY_AFTER_SECONDS})))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_are_counted_apart_and_masters_come_in() {
        let in_flight = InFlight::new(1, 1);
        let (jane, admin) = (User::new("jane", &[]), User::admin());
        let read = in_flight.enter(&jane, Sort::Read, 0).unwrap();
        let refused = in_flight.enter(&jane, Sort::Read, 0).err().unwrap();
        assert_eq!((refused.code(), refused.reason()), (429, Reason::TooManyRequests));
        let _write = in_flight.enter(&jane, Sort::Write, 0).unwrap();
        // One of the masters is let in and takes nobody's place.
        let master = in_flight.enter(&admin, Sort::Read, 0).unwrap();
        drop(read);
        let _again = in_flight.enter(&jane, Sort::Read, 0).unwrap();
        drop(master);
        assert!(in_flight.enter(&jane, Sort::Read, 0).is_err());
    }

    #[test]
    fn zero_is_no_limit() {
        let in_flight = InFlight::new(0, 0);
        let jane = User::new("jane", &[]);
        let held: Vec<_> = (0..1000).map(|_| in_flight.enter(&jane, Sort::Write, 0).unwrap()).collect();
        assert_eq!(held.len(), 1000);
    }
}
