//! What the garbage collector has to have taken.

use std::collections::BTreeSet;

use crate::invariants::uid;
use crate::observer::Seen;

/// An object all of whose owners are gone.
pub(crate) fn find(seen: &Seen) -> Option<String> {
    let alive: BTreeSet<&str> = seen.objects.values().map(uid).collect();
    let orphaned = seen.objects.iter().find(|(_, object)| {
        object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| {
            !owners.is_empty()
                && owners.iter().all(|owner| owner["uid"].as_str().is_none_or(|uid| !alive.contains(uid)))
        })
    });
    orphaned.map(|(key, _)| format!("{key} has lost its owners"))
}
