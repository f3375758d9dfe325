//! What happens to an object with owners, or to one that waits for its dependents.

use serde::Deserialize;

use cox_client::Propagation;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

/// `metadata` as far as this controller reads it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) owner_references: Vec<OwnerReference>,
    pub(super) finalizers: Vec<String>,
    pub(super) deletion_timestamp: Option<String>,
}

impl Metadata {
    pub(super) fn is_deleted(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    pub(super) fn has(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|held| held == finalizer)
    }

    /// Whether it waits until the dependents that block it are gone.
    pub(super) fn waits_for_dependents(&self) -> bool {
        self.is_deleted() && self.has(FOREGROUND)
    }

    pub(super) fn orphans_dependents(&self) -> bool {
        self.is_deleted() && self.has(ORPHAN)
    }

    /// Whether this object blocks the deletion of an owner.
    pub(super) fn blocks(&self, owner: &str) -> bool {
        self.owner_references
            .iter()
            .any(|reference| reference.uid == owner && reference.block_owner_deletion == Some(true))
    }
}

/// An owner, as it really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerState {
    /// It is there.
    Solid,
    /// It isn't, or another object has its name.
    Absent,
    /// It is being deleted and waits for its dependents.
    Waiting,
}

/// What to do with an object with owners.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    /// Take off the references with these uids: other owners keep it.
    Unlink(Vec<String>),
    /// Delete it; `unblock` first takes off what its own dependents block, so that circles of owners end.
    Delete {
        propagation: Propagation,
        unblock: bool,
    },
}

/// Decides about an object; `owners` is the state of each owner reference, in order. `has_dependents` and
/// `dependents_wait` tell whether something depends on it, and whether such a dependent waits itself.
pub(crate) fn judge(
    object: &Metadata,
    owners: &[OwnerState],
    has_dependents: bool,
    dependents_wait: bool,
) -> Verdict {
    if owners.is_empty() {
        return Verdict::Keep;
    }
    let solid = owners.contains(&OwnerState::Solid);
    let waiting = owners.contains(&OwnerState::Waiting);
    if solid {
        let unlinked: Vec<String> = object
            .owner_references
            .iter()
            .zip(owners)
            .filter(|(_, state)| **state != OwnerState::Solid)
            .map(|(reference, _)| reference.uid.clone())
            .collect();
        return if unlinked.is_empty() { Verdict::Keep } else { Verdict::Unlink(unlinked) };
    }
    if waiting && has_dependents {
        return Verdict::Delete { propagation: Propagation::Foreground, unblock: dependents_wait };
    }
    let propagation = if object.has(ORPHAN) {
        Propagation::Orphan
    } else if object.has(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    Verdict::Delete { propagation, unblock: false }
}

#[cfg(test)]
mod tests {
    use super::OwnerState::*;
    use super::*;

    #[test]
    fn owners_decide() {
        let object = |owners: &[&str], finalizers: &[&str]| Metadata {
            owner_references: owners
                .iter()
                .map(|uid| OwnerReference { uid: (*uid).into(), ..OwnerReference::default() })
                .collect(),
            finalizers: finalizers.iter().map(|held| (*held).into()).collect(),
            ..Metadata::default()
        };
        let delete = |propagation| Verdict::Delete { propagation, unblock: false };
        let two = object(&["a", "b"], &[]);
        assert_eq!(judge(&two, &[Solid, Solid], false, false), Verdict::Keep);
        assert_eq!(judge(&two, &[Solid, Absent], false, false), Verdict::Unlink(vec!["b".into()]));
        assert_eq!(judge(&two, &[Waiting, Solid], true, false), Verdict::Unlink(vec!["a".into()]));
        assert_eq!(judge(&two, &[Absent, Absent], true, false), delete(Propagation::Background));
        assert_eq!(judge(&two, &[Absent, Waiting], true, false), delete(Propagation::Foreground));
        assert_eq!(judge(&two, &[Absent, Waiting], false, false), delete(Propagation::Background));
        assert_eq!(judge(&object(&["a"], &[ORPHAN]), &[Absent], true, false), delete(Propagation::Orphan));
        assert_eq!(judge(&object(&[], &[]), &[], true, false), Verdict::Keep);
    }
}
