//! From what writers ask to one batch: expectations are checked against what is visible, what is durable
//! but not visible yet, and what the batch itself does.

use std::collections::BTreeMap;

use cox_api::Object;

use crate::backend::Write;
use crate::error::Error;
use crate::key::Key;
use crate::shard::Change;
use crate::txn::{Committed, Op, OpKind};

/// What transactions that aren't visible yet make of the keys they touch.
pub(crate) type Overlay = BTreeMap<Key, Option<Object>>;

/// A batch, checked.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) writes: Vec<Write>,
    /// For each write: what it changes.
    pub(crate) changes: Vec<Vec<Change>>,
    /// For each transaction in the order they came: what to answer once the writes are durable.
    pub(crate) answers: Vec<Result<Committed, Error>>,
    pub(crate) overlay: Overlay,
    /// The revision of the last write, or of the one before the batch.
    pub(crate) revision: u64,
}

/// Checks transactions in order and gives each that holds the next revision after `revision`.
/// `visible` says what readers see, `pending` what is durable on top of that.
pub(crate) fn prepare(
    txns: impl IntoIterator<Item = Vec<Op>>,
    revision: u64,
    pending: Option<&Overlay>,
    visible: impl Fn(&Key) -> Option<Object>,
) -> Prepared {
    let mut batch = Prepared { revision, ..Prepared::default() };
    for ops in txns {
        let answer = batch.add(ops, pending, &visible);
        batch.answers.push(answer);
    }
    batch
}

impl Prepared {
    fn add(
        &mut self,
        ops: Vec<Op>,
        pending: Option<&Overlay>,
        visible: &impl Fn(&Key) -> Option<Object>,
    ) -> Result<Committed, Error> {
        let revision = self.revision + 1;
        let mut objects = Vec::with_capacity(ops.len());
        let mut changes = Vec::with_capacity(ops.len());
        for op in &ops {
            let found = match self.overlay.get(&op.key).or_else(|| pending?.get(&op.key)) {
                Some(known) => known.clone(),
                None => visible(&op.key),
            };
            if !op.holds(found.as_ref().map(Object::revision)) {
                return Err(Error::Conflict { key: op.key.clone(), current: found });
            }
            let after = match &op.kind {
                OpKind::Check => continue,
                OpKind::Put(object) => Some(object.at(revision)),
                OpKind::Delete => None,
            };
            objects.extend(after.clone().or_else(|| found.map(|last| last.at(revision))));
            changes.push(Change { key: op.key.clone(), revision, after });
        }
        for change in &changes {
            self.overlay.insert(change.key.clone(), change.after.clone());
        }
        self.revision = revision;
        self.writes.push(Write { revision, ops });
        self.changes.push(changes);
        Ok(Committed { revision, objects })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::{Expect, Txn};
    use cox_api::Header;
    use serde_json::json;

    fn object() -> Object {
        Object::new(&json!({"kind": "Pod", "metadata": {"name": "a"}}), Header::default(), 0)
    }

    fn outcome(batch: &Prepared) -> Vec<Option<u64>> {
        batch.answers.iter().map(|answer| answer.as_ref().ok().map(|done| done.revision)).collect()
    }

    #[test]
    fn a_batch_sees_its_own_writes_and_conflicts_take_no_revision() {
        let (a, b) = (Key::new("pods", "n", "a"), Key::new("pods", "n", "b"));
        let txns = [
            Txn::put(a.clone(), Expect::Absent, object()),
            Txn::put(a.clone(), Expect::Absent, object()),
            Txn::put(a.clone(), Expect::Revision(11), object()),
            Txn::delete(a.clone(), Expect::Revision(11)),
            Txn::delete(a.clone(), Expect::Any).and_put(b.clone(), Expect::Absent, object()),
            Txn::delete(a.clone(), Expect::Any),
            Txn::put(b.clone(), Expect::Revision(13), object()).and_check(a.clone(), Expect::Absent),
        ];
        let batch = prepare(txns.into_iter().map(|txn| txn.ops), 10, None, |_| None);
        assert_eq!(outcome(&batch), [Some(11), None, Some(12), None, Some(13), None, Some(14)]);
        assert_eq!(batch.revision, 14);
        assert_eq!(batch.writes.len(), 4);
        assert!(batch.overlay[&a].is_none());
        let Err(Error::Conflict { key, current }) = &batch.answers[3] else { panic!("no conflict") };
        assert_eq!((key, current.as_ref().map(Object::revision)), (&a, Some(12)));
    }

    #[test]
    fn what_is_durable_but_not_visible_counts() {
        let a = Key::new("pods", "n", "a");
        let pending = Overlay::from([(a.clone(), None)]);
        let txns = || [Txn::put(a.clone(), Expect::Absent, object()).ops];
        assert_eq!(outcome(&prepare(txns(), 5, None, |_| Some(object()))), [None]);
        assert_eq!(outcome(&prepare(txns(), 5, Some(&pending), |_| Some(object()))), [Some(6)]);
    }
}
