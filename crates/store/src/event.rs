//! One change of one object.

use cox_api::Object;

use crate::key::Key;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum EventKind {
    Created,
    Updated,
    Deleted,
}

/// One change of one object. Changes of one transaction share the revision.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Of which object.
    pub key: Key,
    /// The object at the event's revision; for a deletion its last state, stamped with that revision.
    pub object: Object,
    /// The object before.
    pub previous: Option<Object>,
}

impl Event {
    /// The revision.
    pub fn revision(&self) -> u64 {
        self.object.revision()
    }

    /// The same event on objects of its own, which share the bytes but not the decoded forms: history is
    /// not to keep those alive.
    pub(crate) fn bare(&self) -> Event {
        let bare = |object: &Object| object.at(object.revision());
        Event {
            kind: self.kind,
            key: self.key.clone(),
            object: bare(&self.object),
            previous: self.previous.as_ref().map(bare),
        }
    }

    /// At most what it costs to keep. What a later event shares with it is counted there again, because that
    /// one may be left when this one is dropped.
    pub(crate) fn bytes(&self) -> usize {
        const FRAME: usize = 600;
        let object = match self.kind {
            EventKind::Created | EventKind::Updated => self.object.json_len(),
            // Shares its bytes with the object before.
            EventKind::Deleted => 0,
        };
        FRAME + object + self.previous.as_ref().map_or(0, Object::json_len)
    }
}
