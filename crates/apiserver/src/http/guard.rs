//! Clients that are gone, or that don't take what they asked for.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

/// A connection whose writes have to go on: one that takes nothing for a while is cut off, so that what waits to be
/// sent to it doesn't stay in memory.
pub(super) struct Flowing<S> {
    stream: S,
    stall_time_max: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Flowing<S> {
    pub(super) fn new(stream: S, stall_time_max: Duration) -> Flowing<S> {
        Flowing { stream, stall_time_max, stalled: None }
    }

    fn judge<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let time = self.stall_time_max;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Flowing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Flowing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Whether a connection is in use: how many of its requests are not over, and since when there is none.
pub(super) struct Use {
    began: Instant,
    /// The requests in the upper half, the milliseconds since the start in the lower.
    state: AtomicU64,
    /// How many of the requests are streams from nodes and what they serve, which end when those end them.
    streams: AtomicUsize,
    /// A request is over, or has become a stream.
    changed: Notify,
}

const ONE: u64 = 1 << 40;
const MILLISECONDS: u64 = ONE - 1;

/// A request that isn't over until this is dropped.
pub(super) struct InUse(Arc<Use>);

/// A stream that counts until this is dropped.
pub(super) struct Streaming(Arc<Use>);

impl Use {
    pub(super) fn new() -> Arc<Use> {
        Arc::new(Use {
            began: Instant::now(),
            state: AtomicU64::new(0),
            streams: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    pub(super) fn begin(self: &Arc<Self>) -> InUse {
        self.state.fetch_add(ONE, Ordering::Relaxed);
        InUse(self.clone())
    }

    /// A request that is under way has become a stream.
    pub(super) fn stream(self: &Arc<Self>) -> Streaming {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
        Streaming(self.clone())
    }

    /// Resolves when nothing is under way but streams that somebody else ends.
    pub(super) async fn until_only_streams(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // What changes from here on is not missed.
            changed.as_mut().enable();
            let streams = self.streams.load(Ordering::Relaxed) as u64;
            if streams > 0 && streams >= self.state.load(Ordering::Relaxed) / ONE {
                return;
            }
            changed.await;
        }
    }

    /// Resolves when nothing was asked for `time`.
    pub(super) async fn until_idle(&self, time: Duration) {
        loop {
            let state = self.state.load(Ordering::Relaxed);
            let since = self.began + Duration::from_millis(state & MILLISECONDS);
            let idle = if state < ONE { since.elapsed() } else { Duration::ZERO };
            if idle >= time {
                return;
            }
            tokio::time::sleep(time - idle).await;
        }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(MILLISECONDS) & MILLISECONDS;
        let over = |state: u64| Some(((state & !MILLISECONDS) - ONE) | now);
        let _ = self.0.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, over);
        self.0.changed.notify_waiters();
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off_and_who_takes_slowly_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(10);
        let mut flowing = Flowing::new(ours, Duration::from_secs(5));
        let slow = async {
            let mut bytes = [0; 10];
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(4)).await;
                tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut bytes).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(flowing.write_all(&[7; 50]), slow);
        written.unwrap();
        let began = Instant::now();
        let error = flowing.write_all(&[7; 50]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn streams_are_left_alone_with_nothing_else_under_way() {
        let used = Use::new();
        let began = Instant::now();
        let requests = async {
            let (followed, get) = (used.begin(), used.begin());
            tokio::time::sleep(Duration::from_secs(3)).await;
            let stream = used.stream();
            tokio::time::sleep(Duration::from_secs(4)).await;
            drop(get);
            (followed, stream)
        };
        tokio::join!(used.until_only_streams(), requests);
        assert_eq!(began.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_its_last_request_is_long_over() {
        let used = Use::new();
        let began = Instant::now();
        let requests = async {
            let watch = used.begin();
            tokio::time::sleep(Duration::from_secs(20)).await;
            drop(used.begin());
            tokio::time::sleep(Duration::from_secs(20)).await;
            drop(watch);
        };
        tokio::join!(used.until_idle(Duration::from_secs(9)), requests);
        // The last request was over after 40 seconds; its end isn't told, it is looked for every 9.
        let seconds = began.elapsed().as_secs();
        assert!((49..58).contains(&seconds), "{seconds}");
    }
}
