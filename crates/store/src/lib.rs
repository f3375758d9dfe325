//! Revisions: compare-and-commit, consistent snapshots, watch.
//!
//! Reads come from memory ([`Store::get`], [`Store::snapshot`], [`Store::watch`]); writes go through one
//! committer to a [`Backend`] and are acknowledged only when it has made them durable. Every transaction
//! has a revision of its own, and no revision is ever given twice.

pub mod backend;
mod cache;
mod committer;
mod error;
mod event;
mod interest;
mod key;
mod limits;
mod prepare;
mod shard;
mod snapshot;
mod store;
mod tail;
mod txn;
mod watcher;
mod window;

pub use backend::{Backend, embedded::Embedded, memory::Memory};
pub use error::{BackendError, Error};
pub use event::{Event, EventKind};
pub use interest::Interest;
pub use key::Key;
pub use limits::Limits;
pub use snapshot::Snapshot;
pub use store::{Describe, Store};
pub use txn::{Committed, Expect, Op, OpKind, Txn};
pub use watcher::Watcher;
