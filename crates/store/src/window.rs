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
