//! From changes to keys in a controller's queue.

use cox_client::{Key, Kind, Queue, Reader, Selector};

use super::owner::{controller_of, refers_to};

/// Every change of an object is a look at it.
pub(crate) fn on_itself<T: Kind>(reader: &Reader<T>, queue: &Queue<Key>) {
    let queue = queue.clone();
    reader.on_change(move |change| queue.add(Key::of(&**change.latest())));
}

/// Every change of a child is a look at its controller (before and after), and of an orphan at every owner whose
/// selector matches it.
pub(crate) fn on_children<O: Kind, C: Kind>(
    children: &Reader<C>,
    owners: &Reader<O>,
    queue: &Queue<Key>,
    selector: impl Fn(&O) -> Selector + Send + Sync + 'static,
) {
    let (queue, owners) = (queue.clone(), owners.clone());
    children.on_change(move |change| {
        let mut orphan = None;
        for child in [&change.old, &change.new].into_iter().flatten() {
            let metadata = child.metadata();
            match controller_of(metadata) {
                Some(owner) if refers_to::<O>(owner) => {
                    queue.add(Key::new(metadata.namespace.as_deref().unwrap_or(""), &owner.name));
                }
                Some(_) => {}
                None if metadata.deletion_timestamp.is_none() => orphan = Some(child),
                None => {}
            }
        }
        if let (Some(orphan), true) = (orphan, change.new.is_some()) {
            let metadata = orphan.metadata();
            if metadata.labels.is_none() {
                return;
            }
            for owner in owners.in_namespace(metadata.namespace.as_deref().unwrap_or("")) {
                if selector(&owner).matches(&metadata.labels) {
                    queue.add(Key::of(&*owner));
                }
            }
        }
    });
}
