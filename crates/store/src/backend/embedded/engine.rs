//! fjall as a journal: one keyspace, one atomic batch and one sync for a group of transactions.

use std::path::Path;
use std::time::Duration;

use cox_api::Object;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::open_error;
use super::record;
use crate::backend::{Entry, Outcome, Write};
use crate::error::BackendError;
use crate::key::ROOT;
use crate::txn::OpKind;

/// Writes wait in memory in an ordered table of this size before they become a file; up to four more may be
/// on their way to one. Larger is faster under a flood of writes (64 MiB: by a third), smaller needs less memory
/// then; it is freed when writing pauses.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// Blocks of files kept in memory. Only loading and compaction read.
const CACHE_BYTES: u64 = 1 << 20;

/// After this time without a write, what waits in memory becomes a file, and the memory free.
pub(super) const QUIET: Duration = Duration::from_secs(20);

/// The layout of keys and values. A different one is refused.
const FORMAT: u8 = 2;
const FORMAT_KEY: &str = "meta/format";
/// The last revision given, little-endian. In the same keyspace as the objects: one of its own would pin
/// the journal, as it would never grow enough to be written out.
const REVISION_KEY: &str = "meta/revision";

/// Revisions start here, as etcd's: the first transaction gets 2.
const FIRST_REVISION: u64 = 1;

pub(super) struct Engine {
    // Declared before the database: the keyspace has to go first.
    objects: Keyspace,
    database: Database,
    revision: u64,
    /// Headers of another epoch are made anew.
    epoch: u64,
    /// Whether something was written since the memory was last freed.
    dirty: bool,
    scratch: Vec<u8>,
}

impl Engine {
    pub(super) fn open(dir: &Path, epoch: u64) -> Result<Engine, BackendError> {
        let failed = |error: fjall::Error| match error {
            fjall::Error::Locked => BackendError::Locked { place: dir.display().to_string() },
            error => open_error(dir, error),
        };
        let database = Database::builder(dir)
            .cache_size(CACHE_BYTES)
            .max_cached_files(Some(64))
            .worker_threads(1)
            .manual_journal_persist(true)
            .open()
            .map_err(failed)?;
        let options = || {
            KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES).manual_journal_persist(true)
        };
        let objects = database.keyspace("registry", options).map_err(failed)?;
        match objects.get(FORMAT_KEY).map_err(failed)? {
            Some(format) if *format == [FORMAT] => {}
            Some(format) => {
                return Err(open_error(
                    dir,
                    format!("its format is {format:?}, this program knows {FORMAT}"),
                ));
            }
            None if objects.is_empty().map_err(failed)? => {
                let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
                batch.insert(&objects, FORMAT_KEY, [FORMAT]);
                batch.insert(&objects, REVISION_KEY, FIRST_REVISION.to_le_bytes());
                batch.commit().map_err(failed)?;
            }
            None => return Err(open_error(dir, "it has data but no format")),
        }
        let revision = objects.get(REVISION_KEY).map_err(failed)?;
        let revision = revision
            .and_then(|bytes| Some(u64::from_le_bytes((*bytes).try_into().ok()?)))
            .ok_or_else(|| open_error(dir, "it has no revision"))?;
        Ok(Engine { objects, database, revision, epoch, dirty: true, scratch: Vec::new() })
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// All objects in the order of their keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = Result<Entry, BackendError>> {
        self.objects.prefix(ROOT).map(|guard| {
            let (key, value) = guard.into_inner().map_err(|error| BackendError::Journal(error.into()))?;
            let key = String::from_utf8_lossy(&key).into_owned();
            match record::decode(&value, self.epoch) {
                Ok((revision, record)) => Ok(Entry { key, revision, record }),
                Err(why) => Err(BackendError::Damaged { key, why: why.into() }),
            }
        })
    }

    /// Makes a group of transactions durable.
    pub(super) fn commit(&mut self, writes: &[Write]) -> Result<Vec<Outcome>, BackendError> {
        let operations = writes.iter().map(|write| write.ops.len()).sum::<usize>();
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), operations + 1)
            .durability(Some(PersistMode::SyncAll));
        let mut outcomes = Vec::with_capacity(writes.len());
        let mut revision = self.revision;
        for write in writes {
            assert!(write.revision > revision, "revision {} after {revision}", write.revision);
            revision = write.revision;
            for op in &write.ops {
                match &op.kind {
                    OpKind::Put(object) => {
                        let value = self.encoded(object, revision);
                        batch.insert(&self.objects, op.key.as_str(), value);
                    }
                    OpKind::Delete => batch.remove(&self.objects, op.key.as_str()),
                    OpKind::Check => {}
                }
            }
            outcomes.push(Outcome::Committed { revision, deleted: Vec::new() });
        }
        batch.insert(&self.objects, REVISION_KEY, revision.to_le_bytes());
        batch.commit().map_err(|error| BackendError::Journal(error.into()))?;
        self.revision = revision;
        self.dirty = true;
        Ok(outcomes)
    }

    fn encoded(&mut self, object: &Object, revision: u64) -> fjall::Slice {
        self.scratch.clear();
        record::encode(object, self.epoch, revision, &mut self.scratch);
        let encoded = fjall::Slice::from(self.scratch.as_slice());
        // One large object isn't to keep its room for ever.
        self.scratch.shrink_to(64 << 10);
        encoded
    }

    /// Nobody has written for a while: frees the memory.
    pub(super) fn rest(&mut self) {
        if std::mem::take(&mut self.dirty)
            && let Err(error) = self.objects.rotate_memtable()
        {
            tracing::warn!(%error, "can't write out what waits in memory");
        }
    }
}
