//! The recent events of a prefix, for watches that resume and snapshots of the past.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;
use crate::limits::Limits;

pub(crate) struct Window {
    events: VecDeque<(Duration, Arc<Event>)>,
    bytes: usize,
    /// Every event after this revision is here.
    floor: u64,
}

impl Window {
    pub(crate) fn starting_at(floor: u64) -> Window {
        Window { events: VecDeque::new(), bytes: 0, floor }
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Adds the newest event.
    pub(crate) fn push(&mut self, now: Duration, event: Arc<Event>, limits: &Limits) {
        debug_assert!(self.events.back().is_none_or(|(_, last)| last.revision() <= event.revision()));
        self.bytes += event.bytes();
        self.events.push_back((now, event));
        self.prune(now, limits);
    }

    /// Drops what is too much or too old.
    pub(crate) fn prune(&mut self, now: Duration, limits: &Limits) {
        while let Some((at, event)) = self.events.front() {
            let old = now.saturating_sub(*at) >= limits.history_age_max;
            if !old && self.events.len() <= limits.window_events_max && self.bytes <= limits.window_bytes_max
            {
                break;
            }
            self.bytes -= event.bytes();
            self.floor = event.revision();
            self.events.pop_front();
        }
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
    }

    /// The events after a revision, oldest first; from both ends.
    pub(crate) fn after(&self, revision: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        let start = self.events.partition_point(|(_, event)| event.revision() <= revision);
        self.events.range(start..).map(|(_, event)| event)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cox_api::{Header, Object};
    use serde_json::json;

    use super::*;
    use crate::event::EventKind;
    use crate::key::Key;

    fn object(name: &str, revision: u64) -> Object {
        let value = json!({"kind": "Pod", "metadata": {"name": name}, "spec": "x".repeat(5000)});
        Object::new(&value, Header::of(&value, Vec::new()), revision)
    }

    /// What the objects of a window keep alive, each counted once.
    fn kept(window: &Window) -> usize {
        let mut buffers = BTreeMap::new();
        for event in window.after(0) {
            for object in [Some(&event.object), event.previous.as_ref()].into_iter().flatten() {
                buffers.insert(object.parts().1.as_ptr(), object.json_len());
            }
        }
        buffers.values().sum()
    }

    #[test]
    fn what_is_kept_is_bounded_whatever_happens() {
        let limits = Limits { window_bytes_max: 100_000, ..Limits::default() };
        let mut window = Window::starting_at(1);
        let mut revision = 1;
        let mut push = |window: &mut Window, kind, name: &str, previous: Option<Object>| {
            revision += 1;
            let object = match (kind, &previous) {
                (EventKind::Deleted, Some(previous)) => previous.at(revision),
                _ => object(name, revision),
            };
            let event = Event { kind, key: Key::new("pods", "", name), object: object.clone(), previous };
            window.push(Duration::ZERO, Arc::new(event), &limits);
            object
        };
        let mut objects = Vec::new();
        for at in 0..50 {
            let name = format!("p{at}");
            let created = push(&mut window, EventKind::Created, &name, None);
            objects.push((name.clone(), push(&mut window, EventKind::Updated, &name, Some(created))));
            assert!(kept(&window) <= limits.window_bytes_max);
        }
        assert!(kept(&window) > limits.window_bytes_max / 3, "it keeps what it may");
        // The deletions alone keep the objects alive once the events before them are dropped.
        for (name, last) in objects {
            push(&mut window, EventKind::Deleted, &name, Some(last));
            assert!(kept(&window) <= limits.window_bytes_max);
        }
        let oldest = window.after(0).next().map(|event| event.revision());
        assert_eq!(oldest, Some(window.floor() + 1), "everything after the floor is there");
    }

    #[test]
    fn age_ends_everything() {
        let limits = Limits::default();
        let mut window = Window::starting_at(1);
        let object = object("a", 2);
        let event =
            Event { kind: EventKind::Created, key: Key::new("pods", "", "a"), object, previous: None };
        window.push(Duration::from_secs(10), Arc::new(event), &limits);
        window.prune(Duration::from_secs(309), &limits);
        assert!(!window.is_empty());
        window.prune(Duration::from_secs(310), &limits);
        assert_eq!((window.is_empty(), window.floor()), (true, 2));
    }
}
