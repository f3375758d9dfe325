//! What a writer asks for and gets.

use cox_api::Object;

use crate::key::Key;

/// What a writer expects to find under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there; for a deletion: anything, but something.
    Any,
    /// Nothing.
    Absent,
    /// The object at exactly this revision.
    Revision(u64),
}

impl Expect {
    /// Whether the expectation holds for the revision found (none: nothing is there).
    pub fn holds(self, found: Option<u64>) -> bool {
        match self {
            Expect::Any => true,
            Expect::Absent => found.is_none(),
            Expect::Revision(revision) => found == Some(revision),
        }
    }
}

/// What an operation does.
#[derive(Clone, Debug)]
pub enum OpKind {
    /// Keeps this object; its own revision is of no matter.
    Put(Object),
    /// Removes what is there. A conflict where nothing is.
    Delete,
    /// Only the expectation is checked.
    Check,
}

/// One operation of a transaction.
#[derive(Clone, Debug)]
pub struct Op {
    /// Of which object.
    pub key: Key,
    /// What has to be there.
    pub expect: Expect,
    /// What to do.
    pub kind: OpKind,
}

impl Op {
    /// Whether the operation can go ahead on what was found.
    pub fn holds(&self, found: Option<u64>) -> bool {
        self.expect.holds(found) && !(matches!(self.kind, OpKind::Delete) && found.is_none())
    }

    /// The size of what is to be kept, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match &self.kind {
            OpKind::Put(object) => object.json_len(),
            OpKind::Delete | OpKind::Check => 0,
        }
    }
}

/// Operations that happen all or not at all, under one revision. A key stands in a transaction once.
#[derive(Clone, Debug)]
pub struct Txn {
    pub(crate) ops: Vec<Op>,
}

impl Txn {
    /// Keeps an object.
    pub fn put(key: Key, expect: Expect, object: Object) -> Txn {
        Txn { ops: vec![Op { key, expect, kind: OpKind::Put(object) }] }
    }

    /// Removes an object.
    pub fn delete(key: Key, expect: Expect) -> Txn {
        Txn { ops: vec![Op { key, expect, kind: OpKind::Delete }] }
    }

    /// ... and keeps another object.
    pub fn and_put(mut self, key: Key, expect: Expect, object: Object) -> Txn {
        self.ops.push(Op { key, expect, kind: OpKind::Put(object) });
        self
    }

    /// ... and removes another object.
    pub fn and_delete(mut self, key: Key, expect: Expect) -> Txn {
        self.ops.push(Op { key, expect, kind: OpKind::Delete });
        self
    }

    /// The object that the transaction was begun for.
    pub fn first_key(&self) -> Option<&Key> {
        self.ops.first().map(|op| &op.key)
    }

    /// ... provided that this holds too.
    pub fn and_check(mut self, key: Key, expect: Expect) -> Txn {
        self.ops.push(Op { key, expect, kind: OpKind::Check });
        self
    }
}

/// A transaction that is durable and visible to every reader of this store.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its revision.
    pub revision: u64,
    /// For every put and deletion, in order: the object at the revision (the last state of a deleted one).
    pub objects: Vec<Object>,
}

impl Committed {
    /// The first object.
    ///
    /// # Panics
    /// Never for a result of [`Txn::put`] and [`Txn::delete`]: they have one.
    pub fn object(&self) -> &Object {
        &self.objects[0]
    }
}
