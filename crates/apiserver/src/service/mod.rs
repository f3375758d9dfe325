//! What makes the request core a service: how much it takes at once.

mod in_flight;
mod peak;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::config::Limits;
use crate::metrics::Metrics;
pub(crate) use in_flight::{InFlight, Sort};

/// What all connections of a server share.
pub(crate) struct Service {
    /// Requests that are being answered.
    pub(crate) in_flight: InFlight,
    /// One permit a connection, whichever listener it came to.
    pub(crate) connections: Arc<Semaphore>,
    /// What is measured.
    pub(crate) metrics: Metrics,
}

impl Service {
    pub(crate) fn new(limits: &Limits) -> Service {
        Service {
            in_flight: InFlight::new(limits.reads_max, limits.writes_max),
            connections: Arc::new(Semaphore::new(limits.connections_max)),
            metrics: Metrics::new(),
        }
    }
}
