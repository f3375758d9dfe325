//! fjall as a journal: one keyspace, one atomic batch and one sync for a group of transactions.

use std::path::Path;
use std::time::Duration;

use cox_api::Object;
use fjall::config::BlockSizePolicy;
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

/// What is read from a file at a time, before it is compressed. Everything is read in a row, so that larger blocks
/// are fewer reads; a directory keeps those with which it was made.
const BLOCK_BYTES: u32 = 64 << 10;

/// Blocks of files kept in memory. Only loading and compaction read.
const CACHE_BYTES: u64 = 1 << 20;

/// How often is looked whether work is over, while something waits in memory. Then it becomes a file, and the memory
/// free.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// So much written between two looks is work. Leases and heartbeats of a hundred nodes stay below it.
const WORK_BYTES_MIN: u64 = 256 << 10;

/// Less than this in memory isn't worth a file.
const FILE_BYTES_MIN: u64 = 1 << 20;

/// The layout of keys and values. A different one is refused.
const FORMAT: u8 = 2;
const FORMAT_KEY: &str = "meta/format";
/// The last revision given, little-endian. In the same keyspace as the objects: one of its own would pin
/// the journal, as it would never grow enough to be written out.
const REVISION_KEY: &str = "meta/revision";

/// Revisions start here, as etcd's: the first transaction gets 2.
const FIRST_REVISION: u64 = 1;

/// A key and a value as they are kept.
pub(super) struct RawEntry {
    key: fjall::Slice,
    value: fjall::Slice,
}

impl RawEntry {
    /// What they say. Headers of another epoch are made anew.
    pub(super) fn decode(&self, epoch: u64) -> Result<Entry, BackendError> {
        let key = String::from_utf8_lossy(&self.key).into_owned();
        match record::decode(&self.value, epoch) {
            Ok((revision, record)) => Ok(Entry { key, revision, record }),
            Err(why) => Err(BackendError::Damaged { key, why: why.into() }),
        }
    }
}

pub(super) struct Engine {
    // Declared before the database: the keyspace has to go first.
    objects: Keyspace,
    database: Database,
    revision: u64,
    epoch: u64,
    /// Bytes of what was written since the last look.
    written: u64,
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
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
                .manual_journal_persist(true)
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
        Ok(Engine { objects, database, revision, epoch, written: 0, scratch: Vec::new() })
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// All keys and values of objects, in the order of the keys.
    pub(super) fn raw_entries(&self) -> impl Iterator<Item = Result<RawEntry, BackendError>> {
        self.objects.prefix(ROOT).map(|guard| {
            let (key, value) = guard.into_inner().map_err(|error| BackendError::Journal(error.into()))?;
            Ok(RawEntry { key, value })
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
                        self.written += value.len() as u64;
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

    /// Whether enough waits in memory that [`Engine::look`] may free it.
    pub(super) fn holds_memory(&self) -> bool {
        self.database.write_buffer_size() >= FILE_BYTES_MIN
    }

    /// Frees the memory where work is over.
    pub(super) fn look(&mut self) {
        let works = std::mem::take(&mut self.written) >= WORK_BYTES_MIN;
        if !works
            && self.holds_memory()
            && let Err(error) = self.objects.rotate_memtable()
        {
            tracing::warn!(%error, "can't write out what waits in memory");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use cox_api::Header;
    use serde_json::json;

    use super::*;
    use crate::key::Key;
    use crate::txn::{Expect, Txn};

    fn write(revision: u64, bytes: usize) -> Write {
        let name = format!("o{revision}");
        let value = json!({"kind": "Pod", "metadata": {"name": name}, "spec": "x".repeat(bytes)});
        let object = Object::new(&value, Header::of(&value, Vec::new()), 0);
        Write { revision, ops: Txn::put(Key::new("pods", "", &name), Expect::Any, object).ops }
    }

    #[test]
    fn memory_is_freed_when_work_is_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut engine = Engine::open(dir.path(), 0).expect("it opens");
        engine.commit(&[write(2, 1000)]).expect("written");
        assert!(!engine.holds_memory(), "a lease now and then is not worth a file");
        let large = FILE_BYTES_MIN as usize;
        engine.commit(&[write(3, large)]).expect("written");
        engine.look();
        assert!(engine.holds_memory(), "there was work just now");
        engine.commit(&[write(4, 1000)]).expect("written");
        engine.look();
        let begun = Instant::now();
        while engine.holds_memory() {
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing is written out");
            std::thread::yield_now();
        }
        assert_eq!(engine.raw_entries().count(), 3);
    }
}
