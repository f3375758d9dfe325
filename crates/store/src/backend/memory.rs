//! A backend in memory, for tests and simulation: deterministic, without threads, with faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cox_env::Env;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Authority, Backend, Each, Entry, Loaded, Outcome, Record, Tailed, Write, plain_json};
use crate::error::BackendError;
use crate::txn::OpKind;

/// Transactions that a tail can go back to.
const LOG_MAX: usize = 10_000;

/// What happens to a batch in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is kept.
    #[default]
    Kept,
    /// Nothing is written; [`BackendError::Unavailable`].
    Refused,
    /// Nothing is written, and never again; [`BackendError::Journal`].
    Broken,
    /// It is kept, but the writer hears [`BackendError::Unknown`].
    Unanswered,
}

/// What happens to a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault {
    /// How long it takes until it is written ...
    pub before: Duration,
    /// ... and from then until it is answered.
    pub after: Duration,
    /// What becomes of it.
    pub fate: Fate,
}

/// Decides what happens to each batch.
pub trait Faults: Send + Sync {
    /// Asked once for each batch, before anything else happens.
    fn on(&self, batch: &[Write]) -> Fault;
}

/// Nothing ever goes wrong, or takes time.
struct NoFaults;

impl Faults for NoFaults {
    fn on(&self, _: &[Write]) -> Fault {
        Fault::default()
    }
}

/// A backend in memory. A clone is another connection to the same "disk": opening a store on a clone is a
/// restart, and under [`Authority::Backend`] several stores may be open at a time.
#[derive(Clone)]
pub struct Memory {
    env: Env,
    authority: Authority,
    faults: Arc<dyn Faults>,
    disk: Arc<Mutex<Disk>>,
    changed: watch::Sender<u64>,
}

struct Disk {
    entries: BTreeMap<String, (u64, Record)>,
    revision: u64,
    compacted: u64,
    /// Only under [`Authority::Backend`].
    log: VecDeque<Tailed>,
    broken: bool,
}

impl Memory {
    /// A backend with one writer.
    pub fn new(env: Env) -> Memory {
        Memory::of(env, Authority::Store)
    }

    /// A backend with many writers, which keeps plain JSON: as etcd.
    pub fn shared(env: Env) -> Memory {
        Memory::of(env, Authority::Backend)
    }

    fn of(env: Env, authority: Authority) -> Memory {
        let disk =
            Disk { entries: BTreeMap::new(), revision: 1, compacted: 1, log: VecDeque::new(), broken: false };
        let disk = Arc::new(Mutex::new(disk));
        Memory { env, authority, faults: Arc::new(NoFaults), disk, changed: watch::Sender::new(1) }
    }

    /// The same disk, where batches meet these faults.
    pub fn with_faults(mut self, faults: Arc<dyn Faults>) -> Memory {
        self.faults = faults;
        self
    }

    /// Forgets the history up to now, as etcd's compaction does.
    pub fn compact(&self) {
        let mut disk = self.disk.lock();
        disk.compacted = disk.revision;
        disk.log.clear();
    }
}

impl Disk {
    fn after(&self, revision: u64) -> Result<Option<Tailed>, BackendError> {
        if revision < self.compacted {
            return Err(BackendError::Compacted(revision));
        }
        let at = self.log.partition_point(|tailed| tailed.revision <= revision);
        Ok(self.log.get(at).cloned())
    }

    fn write(&mut self, authority: Authority, write: &Write) -> Outcome {
        let found = |disk: &Disk, key: &str| disk.entries.get(key).map(|(revision, _)| *revision);
        let revision = match authority {
            Authority::Store => write.revision,
            Authority::Backend => {
                for (at, op) in write.ops.iter().enumerate() {
                    if !op.holds(found(self, op.key.as_str())) {
                        let current = self.entries.get(op.key.as_str()).map(|(revision, record)| Entry {
                            key: op.key.as_str().to_owned(),
                            revision: *revision,
                            record: record.clone(),
                        });
                        return Outcome::Conflict { op: at, current };
                    }
                }
                self.revision + 1
            }
        };
        assert!(revision > self.revision, "revision {revision} after {}", self.revision);
        self.revision = revision;
        let mut deleted = Vec::new();
        let mut changes = Vec::new();
        for op in &write.ops {
            let key = op.key.as_str().to_owned();
            let record = match &op.kind {
                OpKind::Check => continue,
                OpKind::Put(object) if authority == Authority::Backend => {
                    Some(Record::Json(plain_json(object)))
                }
                OpKind::Put(object) => Some(Record::Object(object.at(revision))),
                OpKind::Delete => None,
            };
            match &record {
                Some(record) => {
                    self.entries.insert(key.clone(), (revision, record.clone()));
                }
                None => {
                    if let Some((revision, record)) = self.entries.remove(&key) {
                        deleted.push(Entry { key: key.clone(), revision, record });
                    }
                }
            }
            changes.push((key, record));
        }
        if authority == Authority::Backend {
            self.log.push_back(Tailed { revision, changes });
            if self.log.len() > LOG_MAX {
                self.compacted = self.log.pop_front().map_or(revision, |dropped| dropped.revision);
            }
        }
        Outcome::Committed { revision, deleted }
    }
}

#[async_trait]
impl Backend for Memory {
    fn authority(&self) -> Authority {
        self.authority
    }

    async fn load(&self, each: Each<'_>) -> Result<Loaded, BackendError> {
        let disk = self.disk.lock();
        for (key, (revision, record)) in &disk.entries {
            each(Entry { key: key.clone(), revision: *revision, record: record.clone() })?;
        }
        Ok(Loaded { revision: disk.revision, compacted: disk.compacted })
    }

    async fn commit(&self, batch: Arc<Vec<Write>>) -> Result<Vec<Outcome>, BackendError> {
        let fault = self.faults.on(&batch);
        if !fault.before.is_zero() {
            self.env.sleep(fault.before).await;
        }
        let outcomes: Vec<Outcome> = {
            let mut disk = self.disk.lock();
            disk.broken |= fault.fate == Fate::Broken;
            if disk.broken {
                return Err(BackendError::Journal("the disk is broken".into()));
            }
            if fault.fate == Fate::Refused {
                return Err(BackendError::Unavailable("not now".into()));
            }
            let outcomes = batch.iter().map(|write| disk.write(self.authority, write)).collect();
            self.changed.send_replace(disk.revision);
            outcomes
        };
        if !fault.after.is_zero() {
            self.env.sleep(fault.after).await;
        }
        match fault.fate {
            Fate::Unanswered => Err(BackendError::Unknown("the answer is lost".into())),
            _ => Ok(outcomes),
        }
    }

    async fn tail(
        &self,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Tailed, BackendError>>, BackendError> {
        let start = (self.disk.clone(), self.changed.subscribe(), after);
        let step = |(disk, mut changed, after): (Arc<Mutex<Disk>>, watch::Receiver<u64>, u64)| async move {
            loop {
                changed.borrow_and_update();
                match disk.lock().after(after) {
                    Ok(None) => {}
                    Ok(Some(tailed)) => {
                        let after = tailed.revision;
                        return Some((Ok(tailed), (disk.clone(), changed, after)));
                    }
                    Err(error) => return Some((Err(error), (disk.clone(), changed, after))),
                }
                changed.changed().await.ok()?;
            }
        };
        Ok(stream::unfold(start, step).boxed())
    }

    async fn close(&self) {}
}
