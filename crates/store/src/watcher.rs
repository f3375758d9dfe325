//! A watcher: a bounded queue of events, and the stream that empties it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

use crate::cache::Cache;
use crate::error::Error;
use crate::event::Event;
use crate::interest::Interest;
use crate::shard::Shard;

/// The end of a watcher that the store holds.
pub(crate) struct Queue {
    pub(crate) id: u64,
    pub(crate) interest: Interest,
    /// Only events after this revision.
    from: u64,
    limit: usize,
    waiting: Mutex<Waiting>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Waiting {
    /// History that was there when the watch began: bounded by the window, not by the watcher's limit.
    backlog: VecDeque<Arc<Event>>,
    events: VecDeque<Arc<Event>>,
    /// The revision of the last event that was taken.
    taken: u64,
    end: Option<Error>,
}

impl Queue {
    pub(crate) fn new(
        id: u64,
        interest: Interest,
        from: u64,
        limit: usize,
        backlog: VecDeque<Arc<Event>>,
    ) -> Queue {
        let waiting = Waiting { backlog, taken: from, ..Waiting::default() };
        Queue { id, interest, from, limit, waiting: Mutex::new(waiting), waker: AtomicWaker::new() }
    }

    /// Takes an event; false where the queue is full, and ended for that.
    pub(crate) fn push(&self, event: &Arc<Event>) -> bool {
        if event.revision() <= self.from {
            return true;
        }
        let full = {
            let mut waiting = self.waiting.lock();
            let full = waiting.events.len() >= self.limit;
            if !full {
                waiting.events.push_back(event.clone());
            }
            full
        };
        if full {
            self.end(Error::TooSlow { limit: self.limit });
        } else {
            self.waker.wake();
        }
        !full
    }

    /// Ends the watch; what was waiting is dropped, so that a watcher that is never read again keeps nothing.
    pub(crate) fn end(&self, error: Error) {
        let mut waiting = self.waiting.lock();
        waiting.backlog = VecDeque::new();
        waiting.events = VecDeque::new();
        waiting.end.get_or_insert(error);
        drop(waiting);
        self.waker.wake();
    }
}

/// A stream of events in revision order, each once. An error is its last item.
pub struct Watcher {
    pub(crate) queue: Arc<Queue>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) ended: bool,
}

impl Watcher {
    /// The revision up to which everything has been taken from this stream: the store's own revision where
    /// nothing waits. What a bookmark says.
    pub fn progress(&self) -> u64 {
        // First the store's revision: whatever waits later came after it.
        let current = self.cache.revision();
        let waiting = self.queue.waiting.lock();
        if waiting.backlog.is_empty() && waiting.events.is_empty() && waiting.end.is_none() {
            current.max(waiting.taken)
        } else {
            waiting.taken
        }
    }
}

impl Stream for Watcher {
    type Item = Result<Arc<Event>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.queue.waker.register(cx.waker());
        let mut waiting = self.queue.waiting.lock();
        let next = waiting.backlog.pop_front().or_else(|| waiting.events.pop_front());
        if let Some(event) = next {
            waiting.taken = event.revision();
            return Poll::Ready(Some(Ok(event)));
        }
        if waiting.events.capacity() > 64 {
            // A burst is over: give its room back.
            waiting.events = VecDeque::new();
            waiting.backlog = VecDeque::new();
        }
        let end = waiting.end.take();
        drop(waiting);
        match end {
            Some(error) => {
                self.ended = true;
                Poll::Ready(Some(Err(error)))
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shard.unsubscribe(&self.queue);
        self.cache.watcher_gone();
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watcher({:?} from {})", self.queue.interest, self.queue.from)
    }
}
