//! The durable side of the store.

pub mod embedded;
pub mod memory;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cox_api::Object;
use futures::stream::BoxStream;

use crate::error::BackendError;
use crate::txn::Op;

/// Who decides whether a transaction's expectations hold, and gives revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The store: the backend has no other writer. Every [`Write`] comes with its revision, checked, and the
    /// backend only makes it durable.
    Store,
    /// The backend: there may be other writers (etcd). [`Backend::commit`] checks and gives revisions, and
    /// everything that happened is heard of through [`Backend::tail`].
    Backend,
}

/// An object as a backend kept it.
#[derive(Clone, Debug)]
pub enum Record {
    /// Ready, with its header.
    Object(Object),
    /// JSON as upstream writes it to etcd; the store describes it.
    Json(Bytes),
}

/// A key and what is under it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The whole key.
    pub key: String,
    /// The revision of its last change (etcd: `mod_revision`).
    pub revision: u64,
    /// The object.
    pub record: Record,
}

/// One transaction for a backend.
#[derive(Clone, Debug)]
pub struct Write {
    /// The revision that the store gives it; 0 under [`Authority::Backend`].
    pub revision: u64,
    /// All or nothing.
    pub ops: Vec<Op>,
}

/// What became of a transaction.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is durable.
    Committed {
        /// Its revision.
        revision: u64,
        /// Under [`Authority::Backend`]: the last state of what it deleted, in the order of the operations.
        deleted: Vec<Entry>,
    },
    /// An expectation failed. Only under [`Authority::Backend`].
    Conflict {
        /// Which operation, counted from 0.
        op: usize,
        /// What is there.
        current: Option<Entry>,
    },
}

/// A transaction that happened, by whomever.
#[derive(Clone, Debug)]
pub struct Tailed {
    /// Its revision.
    pub revision: u64,
    /// Key by key: what is there now, or nothing. Empty: only the revision has moved on.
    pub changes: Vec<(String, Option<Record>)>,
}

/// Where a backend stands after loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The revision of the last transaction that is durable; at least 1.
    pub revision: u64,
    /// [`Backend::tail`] can start after this revision or a later one.
    pub compacted: u64,
}

/// What [`Backend::load`] hands every entry to.
pub type Each<'a> = &'a mut (dyn FnMut(Entry) -> Result<(), BackendError> + Send);

/// The durable side of the store.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Who checks expectations and gives revisions.
    fn authority(&self) -> Authority;

    /// Hands over all entries in the order of their keys, one by one, as of the revision that is returned.
    ///
    /// # Errors
    /// Those of the medium, and those of `each`, at the first of which it stops.
    async fn load(&self, each: Each<'_>) -> Result<Loaded, BackendError>;

    /// Makes independent transactions durable: each all or nothing, acknowledged only when all of them would
    /// survive a crash. One call at a time; revisions rise in the order of the batch. Starts its work at
    /// the first poll and goes on by itself while it isn't polled.
    ///
    /// # Errors
    /// None of the transactions may be taken to have happened. After [`BackendError::Journal`] a backend
    /// takes nothing more.
    async fn commit(&self, batch: Arc<Vec<Write>>) -> Result<Vec<Outcome>, BackendError>;

    /// What happens after a revision, in revision order, each once. Asked only under [`Authority::Backend`];
    /// elsewhere what was committed is all that happens.
    ///
    /// # Errors
    /// [`BackendError::Compacted`] where the history is gone.
    async fn tail(
        &self,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Tailed, BackendError>>, BackendError> {
        let _ = after;
        Ok(Box::pin(futures::stream::pending()))
    }

    /// Lets go of files and connections. What comes later fails with [`BackendError::Closed`].
    async fn close(&self);
}

/// The JSON that upstream keeps in etcd: without a resourceVersion, which is the key's revision there.
pub fn plain_json(object: &Object) -> Bytes {
    const LABEL: &[u8] = b"\"resourceVersion\":\"";
    let (head, tail) = object.parts();
    let head = head.strip_suffix(LABEL).unwrap_or(head);
    let tail = tail.strip_prefix(b"\"").unwrap_or(tail);
    let tail = tail.strip_prefix(b",").unwrap_or(tail);
    let mut out = BytesMut::with_capacity(head.len() + tail.len());
    out.extend_from_slice(head);
    out.extend_from_slice(tail);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cox_api::Header;
    use serde_json::{Value, json};

    #[test]
    fn plain_json_has_no_revision() {
        for mut value in [
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {}}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}}),
        ] {
            let object = Object::new(&value, Header::default(), 7);
            let plain: Value = serde_json::from_slice(&plain_json(&object)).expect("JSON");
            assert_eq!(plain, value);
            value["metadata"]["resourceVersion"] = "7".into();
            assert_eq!(object.value(), value);
        }
    }
}
