//! A priority level at work: its seats, its queues, and who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cox_env::Env;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::demand::{Demand, Seen};
use super::drops::Drops;
use super::queues::{Arrival, Queues, Shape};
use crate::metrics::{FlowCounts, Rejection};

/// A priority level.
pub(super) struct Level {
    env: Env,
    exempt: bool,
    inner: Mutex<Inner>,
    drops: Mutex<Drops>,
    numbers: AtomicU64,
}

struct Inner {
    /// Who waits is told through its sender.
    queues: Queues<oneshot::Sender<()>>,
    demand: Demand,
}

impl Inner {
    /// Gives free seats to those who wait, and notes what is wanted.
    fn settle(&mut self, now: Duration) {
        while let Some(waiter) = self.queues.next(now) {
            // Who is gone gives the seat back: it looks whether it still waits, under the same lock.
            let _ = waiter.send(());
        }
        self.demand.set(now, self.queues.demand());
    }
}

/// A request that isn't let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// When to ask again.
    pub(crate) retry_after_seconds: u64,
}

/// A request that is being answered, until this is dropped.
pub(crate) struct Seat {
    level: Arc<Level>,
    counts: Arc<FlowCounts>,
    queue: Option<usize>,
    began: Duration,
    waited: Duration,
}

impl Seat {
    /// How long it took to get.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let now = self.level.env.elapsed();
        self.level.give_back(now, self.queue, now.saturating_sub(self.began));
        self.counts.executing(-1);
    }
}

/// A request in a queue: whoever stops waiting leaves it.
struct Place {
    level: Arc<Level>,
    counts: Arc<FlowCounts>,
    queue: usize,
    number: u64,
    waits: bool,
}

impl Place {
    /// Leaves the queue. False where the seat had been given by then.
    fn leave(&mut self, now: Duration) -> bool {
        self.waits = false;
        self.counts.waiting(-1);
        let mut inner = self.level.inner.lock();
        let left = inner.queues.leave(now, self.queue, self.number).is_some();
        inner.settle(now);
        left
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.waits {
            return;
        }
        // The client is gone.
        let now = self.level.env.elapsed();
        if self.leave(now) {
            self.counts.rejected(Rejection::Cancelled);
        } else {
            self.level.give_back(now, Some(self.queue), Duration::ZERO);
        }
    }
}

impl Level {
    pub(super) fn new(env: Env, exempt: bool, shape: Shape, seats: usize) -> Level {
        let queues = Queues::new(shape, if exempt { usize::MAX } else { seats });
        Level {
            env,
            exempt,
            inner: Mutex::new(Inner { queues, demand: Demand::default() }),
            drops: Mutex::default(),
            numbers: AtomicU64::new(0),
        }
    }

    /// Whether everybody has a seat.
    pub(super) fn is_exempt(&self) -> bool {
        self.exempt
    }

    /// Other queues from now on.
    pub(super) fn reshape(&self, shape: Shape) {
        self.inner.lock().queues.reshape(shape);
    }

    /// Another number of seats from now on.
    pub(super) fn set_seats(&self, seats: usize) {
        if self.exempt {
            return;
        }
        let now = self.env.elapsed();
        let mut inner = self.inner.lock();
        inner.queues.set_seats(now, seats);
        inner.settle(now);
    }

    /// What was wanted since this was asked last.
    pub(super) fn take_demand(&self) -> Seen {
        self.inner.lock().demand.take(self.env.elapsed())
    }

    fn give_back(&self, now: Duration, queue: Option<usize>, took: Duration) {
        let mut inner = self.inner.lock();
        inner.queues.finish(now, queue, took);
        inner.settle(now);
    }

    /// Lets a request in, at once or after a time in a queue.
    ///
    /// # Errors
    /// Where there is no place to wait, or no seat within `wait_max`.
    pub(super) async fn enter(
        self: &Arc<Level>,
        counts: &Arc<FlowCounts>,
        hash: u64,
        wait_max: Duration,
    ) -> Result<Seat, Refused> {
        let now = self.env.elapsed();
        let mut told = None;
        let arrival = {
            let mut inner = self.inner.lock();
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let arrival = inner.queues.arrive(now, hash, number, || {
                let (sender, receiver) = oneshot::channel();
                told = Some(receiver);
                sender
            });
            inner.settle(now);
            arrival
        };
        let (queue, began) = match (arrival, told) {
            (Arrival::Seated(queue), _) => (queue, now),
            (Arrival::Waits(queue, number), Some(told)) => {
                counts.waiting(1);
                let place = Place { level: self.clone(), counts: counts.clone(), queue, number, waits: true };
                (Some(queue), self.wait(counts, place, told, now, wait_max).await?)
            }
            (Arrival::Full, _) | (Arrival::Waits(..), None) => {
                let reason =
                    if self.has_queues() { Rejection::QueueFull } else { Rejection::ConcurrencyLimit };
                return Err(self.refuse(counts, reason, now, Duration::ZERO));
            }
        };
        let waited = began.saturating_sub(now);
        counts.dispatched();
        counts.executing(1);
        if !self.exempt {
            counts.waited(true, waited);
        }
        Ok(Seat { level: self.clone(), counts: counts.clone(), queue, began, waited })
    }

    /// Waits for a seat; when it was given.
    async fn wait(
        &self,
        counts: &FlowCounts,
        mut place: Place,
        told: oneshot::Receiver<()>,
        since: Duration,
        wait_max: Duration,
    ) -> Result<Duration, Refused> {
        let given = tokio::time::timeout(wait_max, told).await.is_ok_and(|told| told.is_ok());
        let now = self.env.elapsed();
        if given {
            place.waits = false;
            counts.waiting(-1);
        } else if place.leave(now) {
            return Err(self.refuse(counts, Rejection::TimeOut, now, now.saturating_sub(since)));
        }
        Ok(now)
    }

    fn has_queues(&self) -> bool {
        self.inner.lock().queues.has_queues()
    }

    fn refuse(&self, counts: &FlowCounts, reason: Rejection, now: Duration, waited: Duration) -> Refused {
        counts.rejected(reason);
        counts.waited(false, waited);
        Refused { retry_after_seconds: self.drops.lock().refuse(now.as_secs()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use jiff::Timestamp;

    const SHAPE: Shape = Shape { queues: 4, hand: 1, length_max: 3 };
    const WAIT: Duration = Duration::from_secs(15);

    fn level(shape: Shape, seats: usize) -> (Arc<Level>, Arc<FlowCounts>) {
        let env = Env::simulated(1, Timestamp::UNIX_EPOCH);
        (Arc::new(Level::new(env, false, shape, seats)), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_let_in_when_a_seat_is_given_back() {
        let (level, counts) = level(SHAPE, 1);
        let first = level.enter(&counts, 0, WAIT).await.unwrap();
        let second = level.enter(&counts, 0, WAIT);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(counts.read(), (1, 1));
        tokio::time::advance(Duration::from_secs(2)).await;
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(second.waited().as_secs(), 2);
        assert_eq!(counts.read(), (0, 1));
        drop(second);
        assert_eq!((counts.read(), level.inner.lock().queues.demand()), ((0, 0), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_has_an_end() {
        let (level, counts) = level(SHAPE, 1);
        let held = level.enter(&counts, 0, WAIT).await.unwrap();
        let before = tokio::time::Instant::now();
        assert_eq!(level.enter(&counts, 0, WAIT).await.err(), Some(Refused { retry_after_seconds: 1 }));
        assert_eq!(before.elapsed(), WAIT);
        drop(held);
        assert_eq!((counts.read(), level.inner.lock().queues.demand()), ((0, 0), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_leaves_its_place_and_its_seat() {
        let (level, counts) = level(SHAPE, 1);
        let held = level.enter(&counts, 0, WAIT).await.unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(level.enter(&counts, 0, WAIT))).collect();
        for waiter in &mut waiting {
            assert!(waiter.as_mut().now_or_never().is_none());
        }
        assert!(level.enter(&counts, 0, WAIT).await.is_err(), "the queue is full");
        // The first goes while it waits, the second when it has been given the seat and doesn't know yet.
        drop(waiting.remove(0));
        drop(held);
        drop(waiting.remove(0));
        let last = waiting.remove(0).await.unwrap();
        assert_eq!(counts.read(), (0, 1));
        drop(last);
        assert_eq!((counts.read(), level.inner.lock().queues.demand()), ((0, 0), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn more_seats_let_more_in() {
        let (level, counts) = level(SHAPE, 0);
        let mut waiting = Box::pin(level.enter(&counts, 0, WAIT));
        assert!(waiting.as_mut().now_or_never().is_none());
        level.set_seats(1);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_exempt_level_lets_everybody_in() {
        let env = Env::simulated(1, Timestamp::UNIX_EPOCH);
        let level = Arc::new(Level::new(env, true, Shape { queues: 0, hand: 0, length_max: 0 }, 0));
        let counts = Arc::default();
        level.set_seats(1);
        let mut seats = Vec::new();
        for _ in 0..1000 {
            seats.push(level.enter(&counts, 0, WAIT).await.unwrap());
        }
        assert_eq!(level.take_demand().highest, 1000.0);
    }
}
