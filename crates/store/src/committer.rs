//! Group commit: one task takes what writers queued, makes it durable in one go, makes it visible and
//! answers. While one batch is on its way to the disk, the one before it is handed to watchers and writers.

use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use tokio::sync::{mpsc, oneshot};

use crate::backend::{Backend, Outcome, Write};
use crate::cache::Cache;
use crate::error::{BackendError, Error};
use crate::limits::Limits;
use crate::prepare::{Prepared, prepare};
use crate::store::Describe;
use crate::tail::object_of;
use crate::txn::{Committed, Op, OpKind};

/// A writer that waits.
pub(crate) struct Request {
    pub(crate) ops: Vec<Op>,
    pub(crate) answer: Answer,
}

type Answer = oneshot::Sender<Result<Committed, Error>>;

/// Set once the journal failed.
pub(crate) type Failure = Arc<OnceLock<Arc<BackendError>>>;

pub(crate) struct Committer {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) limits: Limits,
    pub(crate) queue: mpsc::Receiver<Request>,
    pub(crate) failure: Failure,
    pub(crate) describe: Describe,
}

/// A batch and those who wait for it.
struct Batch {
    prepared: Prepared,
    writers: Vec<Answer>,
}

impl Committer {
    /// Under [`Authority::Store`](crate::backend::Authority::Store). Ends when nobody can write any more.
    pub(crate) async fn run(mut self) {
        let mut revision = self.cache.revision();
        // Durable, but not visible yet.
        let mut durable: Option<Batch> = None;
        loop {
            let waiting = match &durable {
                Some(_) => self.waiting(None),
                None => match self.queue.recv().await {
                    Some(first) => self.waiting(Some(first)),
                    None => return,
                },
            };
            let mut batch = self.prepare(waiting, revision, durable.as_ref());
            let writes = Arc::new(std::mem::take(&mut batch.prepared.writes));
            let mut commit = (!writes.is_empty()).then(|| self.backend.commit(writes));
            // The first poll sends the batch on its way to the disk ...
            let mut result = match &mut commit {
                Some(commit) => match poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx))).await {
                    Poll::Ready(result) => Some(result),
                    Poll::Pending => None,
                },
                None => Some(Ok(Vec::new())),
            };
            // ... and meanwhile the one before becomes visible.
            if let Some(done) = durable.take() {
                self.publish(done);
            }
            if let (None, Some(commit)) = (&result, commit) {
                result = Some(commit.await);
            }
            match result {
                Some(Err(error)) => self.fail(batch.writers, error),
                _ => {
                    revision = batch.prepared.revision;
                    durable = (!batch.writers.is_empty()).then_some(batch);
                }
            }
        }
    }

    /// Under [`Authority::Backend`](crate::backend::Authority::Backend): writers are answered when the tail
    /// has brought their transaction.
    pub(crate) async fn run_remote(mut self) {
        while let Some(first) = self.queue.recv().await {
            let waiting = self.waiting(Some(first));
            let (ops, writers): (Vec<_>, Vec<_>) =
                waiting.into_iter().map(|request| (request.ops, request.answer)).unzip();
            let writes: Vec<Write> = ops.into_iter().map(|ops| Write { revision: 0, ops }).collect();
            let writes = Arc::new(writes);
            match self.backend.commit(writes.clone()).await {
                Err(error) => self.fail(writers, error),
                Ok(outcomes) => {
                    let last = outcomes.iter().filter_map(|outcome| match outcome {
                        Outcome::Committed { revision, .. } => Some(*revision),
                        Outcome::Conflict { .. } => None,
                    });
                    if let Some(last) = last.max()
                        && self.cache.wait_until(last).await.is_err()
                    {
                        return;
                    }
                    for ((write, outcome), writer) in writes.iter().zip(outcomes).zip(writers) {
                        let _ = writer.send(self.outcome(&write.ops, outcome));
                    }
                }
            }
        }
    }

    /// What is queued, up to the size of a batch.
    fn waiting(&mut self, first: Option<Request>) -> Vec<Request> {
        let mut bytes: usize = first.iter().flat_map(|first| &first.ops).map(Op::bytes).sum();
        let mut waiting: Vec<Request> = first.into_iter().collect();
        while waiting.len() < self.limits.batch_max && bytes < self.limits.batch_bytes_max {
            let Ok(next) = self.queue.try_recv() else { break };
            bytes += next.ops.iter().map(Op::bytes).sum::<usize>();
            waiting.push(next);
        }
        waiting
    }

    fn prepare(&self, waiting: Vec<Request>, revision: u64, durable: Option<&Batch>) -> Batch {
        let (txns, writers): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|request| (request.ops, request.answer)).unzip();
        if let Some(failure) = self.failure.get() {
            for writer in writers {
                let _ = writer.send(Err(Error::ReadOnly(failure.clone())));
            }
            return Batch { prepared: prepare([], revision, None, |_| None), writers: Vec::new() };
        }
        let pending = durable.map(|batch| &batch.prepared.overlay);
        Batch { prepared: prepare(txns, revision, pending, |key| self.cache.get(key)), writers }
    }

    fn publish(&self, batch: Batch) {
        for changes in &batch.prepared.changes {
            self.cache.apply(changes);
        }
        self.cache.reached(batch.prepared.revision);
        for (answer, writer) in batch.prepared.answers.into_iter().zip(batch.writers) {
            let _ = writer.send(answer);
        }
    }

    fn fail(&self, writers: Vec<Answer>, error: BackendError) {
        // After these nobody knows what is on the disk, so that no revision could be given without risk of
        // giving it twice. A backend that gives the revisions itself knows.
        let fatal = match &error {
            BackendError::Journal(_) => true,
            BackendError::Unknown(_) => self.backend.authority() == crate::backend::Authority::Store,
            _ => false,
        };
        let error = Arc::new(error);
        if fatal {
            tracing::error!(error = %error, "the store takes no more writes");
            let _ = self.failure.set(error.clone());
        }
        for writer in writers {
            let _ = writer.send(Err(Error::Backend(error.clone())));
        }
    }

    fn outcome(&self, ops: &[Op], outcome: Outcome) -> Result<Committed, Error> {
        match outcome {
            Outcome::Conflict { op, current } => {
                let current = current
                    .map(|entry| object_of(&entry.key, entry.revision, entry.record, &self.describe))
                    .transpose()?;
                Err(Error::Conflict { key: ops[op].key.clone(), current })
            }
            Outcome::Committed { revision, deleted } => {
                let mut deleted = deleted.into_iter();
                let mut objects = Vec::with_capacity(ops.len());
                for op in ops {
                    match &op.kind {
                        OpKind::Check => {}
                        OpKind::Put(object) => objects.push(object.at(revision)),
                        OpKind::Delete => {
                            if let Some(last) = deleted.next() {
                                objects.push(object_of(&last.key, revision, last.record, &self.describe)?);
                            }
                        }
                    }
                }
                Ok(Committed { revision, objects })
            }
        }
    }
}
