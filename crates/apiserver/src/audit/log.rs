//! The thread that writes the log, and the bounded queue before it. A request never waits for it: what doesn't fit
//! is dropped, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use cox_env::Env;
use parking_lot::Mutex;

use super::event::Event;
use super::file::{LogFile, Rotating};

/// Events that wait to be written. Upstream's buffer holds as many.
const EVENTS_MAX: usize = 10_000;
/// Bytes of them.
const BYTES_MAX: usize = 64 << 20;
/// Bytes that are written at once.
const BATCH_BYTES: usize = 1 << 20;

/// What has become of events.
#[derive(Default)]
pub(crate) struct Counts {
    /// Handed to the log.
    pub(crate) events: AtomicU64,
    /// Dropped because the queue was full.
    pub(crate) dropped: AtomicU64,
    /// That couldn't be written.
    pub(crate) failed: AtomicU64,
    waiting_bytes: AtomicUsize,
}

pub(super) struct Log {
    queue: Mutex<Option<SyncSender<Event>>>,
    counts: Arc<Counts>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Log {
    pub(super) fn open(env: &Env, settings: LogFile) -> std::io::Result<Log> {
        let file = Rotating::open(settings)?;
        let (queue, events) = sync_channel(EVENTS_MAX);
        let counts = Arc::new(Counts::default());
        let (env, shared) = (env.clone(), counts.clone());
        let writer = std::thread::Builder::new().name("audit log".into());
        let writer = writer.spawn(move || write(&env, file, &events, &shared))?;
        Ok(Log { queue: Mutex::new(Some(queue)), counts, writer: Mutex::new(Some(writer)) })
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Hands an event to the writer, or drops it.
    pub(super) fn put(&self, event: Event) {
        self.counts.events.fetch_add(1, Ordering::Relaxed);
        let weight = event.weight();
        let before = self.counts.waiting_bytes.fetch_add(weight, Ordering::Relaxed);
        let queue = self.queue.lock().clone();
        let sent = match queue {
            Some(queue) if before + weight <= BYTES_MAX => {
                queue.try_send(event).map_err(|error| match error {
                    TrySendError::Full(_) | TrySendError::Disconnected(_) => (),
                })
            }
            _ => Err(()),
        };
        if sent.is_err() {
            self.counts.waiting_bytes.fetch_sub(weight, Ordering::Relaxed);
            if self.counts.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::warn!("the audit log can't keep up: events are dropped");
            }
        }
    }

    /// Takes no more, and waits until everything is written.
    pub(super) fn close(&self) {
        drop(self.queue.lock().take());
        if let Some(writer) = self.writer.lock().take() {
            let _ = writer.join();
        }
    }
}

fn write(env: &Env, mut file: Rotating, events: &Receiver<Event>, counts: &Counts) {
    while let Ok(first) = events.recv() {
        let (mut lines, mut number) = (String::new(), 0);
        let mut next = Some(first);
        while let Some(event) = next {
            counts.waiting_bytes.fetch_sub(event.weight(), Ordering::Relaxed);
            lines.push_str(&event.line());
            lines.push('\n');
            number += 1;
            next = if lines.len() < BATCH_BYTES { events.try_recv().ok() } else { None };
        }
        if let Err(error) = file.write(lines.as_bytes(), env.now())
            && counts.failed.fetch_add(number, Ordering::Relaxed) == 0
        {
            tracing::error!(%error, "writing the audit log");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Head, Payload, Tail};
    use super::super::policy::{Level, Stage};
    use super::*;

    fn event(env: &Env, body_bytes: usize) -> Event {
        let head = Head {
            level: Level::Metadata,
            omit_managed_fields: false,
            audit_id: "1".into(),
            uri: "/".into(),
            verb: "get".into(),
            user: None,
            sources: Vec::new(),
            agent: String::new(),
            object: None,
            received: env.now(),
        };
        let body =
            Payload { media_type: String::new(), bytes: vec![vec![0; body_bytes].into()], is_patch: true };
        let tail = Tail { request: Some(body), ..Tail::default() };
        Event { head: Arc::new(head), tail, stage: Stage::ResponseComplete, at: env.now() }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted_and_all_else_is_written_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::real();
        let path = dir.path().join("audit.log");
        let settings = LogFile {
            path: path.clone(),
            bytes_max: 1 << 20,
            backups_max: 0,
            age_max: std::time::Duration::ZERO,
        };
        let log = Log::open(&env, settings).unwrap();
        for _ in 0..100 {
            log.put(event(&env, 0));
        }
        log.put(event(&env, BYTES_MAX));
        log.close();
        log.put(event(&env, 0));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 100);
        let counts = log.counts();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!((read(&counts.events), read(&counts.dropped), read(&counts.failed)), (102, 2, 0));
        assert_eq!(counts.waiting_bytes.load(Ordering::Relaxed), 0);
    }
}
