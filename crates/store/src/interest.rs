//! What a watcher wants to hear of, and the index that finds the watchers of an event.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Event;
use crate::watcher::Queue;

/// What a watcher wants to hear of; every part that is given has to fit.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    /// Only objects of this namespace.
    pub namespace: Option<String>,
    /// Only objects of this name.
    pub name: Option<String>,
    /// Only objects with this value in a field of their header (`spec.nodeName`), before or after the
    /// event: so that the watcher hears when an object leaves.
    pub field: Option<(String, String)>,
}

impl Interest {
    /// Everything of a prefix.
    pub fn all() -> Interest {
        Interest::default()
    }

    /// Whether an event is of interest.
    pub fn covers(&self, event: &Event) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| event.object.namespace() == namespace)
            && self.name.as_ref().is_none_or(|name| event.object.name() == name)
            && self.field.as_ref().is_none_or(|(path, value)| {
                event.object.header().field(path) == Some(value)
                    || event
                        .previous
                        .as_ref()
                        .is_some_and(|before| before.header().field(path) == Some(value))
            })
    }
}

type Queues = BTreeMap<u64, Arc<Queue>>;

/// The watchers of a prefix, each under the narrowest part of its interest.
#[derive(Default)]
pub(crate) struct Index {
    all: Queues,
    by_namespace: BTreeMap<String, Queues>,
    by_name: BTreeMap<String, Queues>,
    by_field: BTreeMap<String, BTreeMap<String, Queues>>,
}

impl Index {
    pub(crate) fn insert(&mut self, queue: Arc<Queue>) {
        let interest = &queue.interest;
        let place = if let Some(name) = &interest.name {
            self.by_name.entry(name.clone()).or_default()
        } else if let Some((path, value)) = &interest.field {
            self.by_field.entry(path.clone()).or_default().entry(value.clone()).or_default()
        } else if let Some(namespace) = &interest.namespace {
            self.by_namespace.entry(namespace.clone()).or_default()
        } else {
            &mut self.all
        };
        place.insert(queue.id, queue);
    }

    pub(crate) fn remove(&mut self, queue: &Queue) {
        let interest = &queue.interest;
        if let Some(name) = &interest.name {
            take(&mut self.by_name, name, queue.id);
        } else if let Some((path, value)) = &interest.field {
            if let Some(values) = self.by_field.get_mut(path) {
                take(values, value, queue.id);
                if values.is_empty() {
                    self.by_field.remove(path);
                }
            }
        } else if let Some(namespace) = &interest.namespace {
            take(&mut self.by_namespace, namespace, queue.id);
        } else {
            self.all.remove(&queue.id);
        }
    }

    /// Hands an event to everyone concerned; who can't take it any more is dropped from the index.
    pub(crate) fn dispatch(&mut self, event: &Arc<Event>) {
        let mut cut = Vec::new();
        offer(&self.all, event, &mut cut);
        if let Some(queues) = self.by_namespace.get(event.object.namespace()) {
            offer(queues, event, &mut cut);
        }
        if let Some(queues) = self.by_name.get(event.object.name()) {
            offer(queues, event, &mut cut);
        }
        for (path, values) in &self.by_field {
            let now = event.object.header().field(path);
            let before = event.previous.as_ref().and_then(|object| object.header().field(path));
            for value in [now, before.filter(|before| Some(*before) != now)].into_iter().flatten() {
                if let Some(queues) = values.get(value) {
                    offer(queues, event, &mut cut);
                }
            }
        }
        for queue in cut {
            self.remove(&queue);
        }
    }

    /// Every watcher, and none is left.
    pub(crate) fn drain(&mut self) -> Vec<Arc<Queue>> {
        let index = std::mem::take(self);
        let mut queues: Vec<Arc<Queue>> = index.all.into_values().collect();
        queues.extend(index.by_namespace.into_values().flat_map(BTreeMap::into_values));
        queues.extend(index.by_name.into_values().flat_map(BTreeMap::into_values));
        queues.extend(
            index.by_field.into_values().flat_map(BTreeMap::into_values).flat_map(BTreeMap::into_values),
        );
        queues
    }
}

fn offer(queues: &Queues, event: &Arc<Event>, cut: &mut Vec<Arc<Queue>>) {
    for queue in queues.values() {
        if queue.interest.covers(event) && !queue.push(event) {
            cut.push(queue.clone());
        }
    }
}

fn take(places: &mut BTreeMap<String, Queues>, place: &str, id: u64) {
    if let Some(queues) = places.get_mut(place) {
        queues.remove(&id);
        if queues.is_empty() {
            places.remove(place);
        }
    }
}
