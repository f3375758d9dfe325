//! How every part talks to the API: typed verbs over a transport (in process or HTTPS), shared informers,
//! a work queue, events and leader leases.
//!
//! Everything here takes its time, chance and tasks from [`cox_env::Env`].

pub mod claims;
mod client;
pub mod error;
pub mod events;
pub mod http;
pub mod informer;
pub mod kind;
pub mod labels;
pub mod lease;
pub mod options;
pub mod queue;

#[cfg(any(test, feature = "fake"))]
pub mod fake;

pub use client::Client;
pub use error::{Error, Result};
pub use events::{EventRecorder, EventType};
pub use http::HttpTransport;
pub use informer::{Change, Changes, Informed, Reader, Scope, SharedInformers};
pub use kind::{Key, Kind, resource_of, revision_of};
pub use labels::{Labels, Selector};
pub use options::{DeleteOptions, ListOptions, Propagation, WriteOptions};
pub use queue::{Next, Queue};
