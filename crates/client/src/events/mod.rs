//! The event recorder: takes events without waiting, joins repetitions, and writes them in the background.

mod correlate;
mod recorder;

pub use recorder::{EventRecorder, reference};

/// How an event is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}
