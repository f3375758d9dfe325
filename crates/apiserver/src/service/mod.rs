//! What makes the request core a service: how much it takes at once.

mod drain;
mod in_flight;
mod peak;

use std::sync::Arc;

use cox_env::Env;
use tokio::sync::Semaphore;

use crate::audit::{Audit, Ids};
use crate::config::Config;
use crate::error::Error;
use crate::flow::FlowControl;
use crate::metrics::Metrics;
pub(crate) use drain::Drain;
pub(crate) use in_flight::{InFlight, Sort};

/// What all connections of a server share.
pub(crate) struct Service {
    /// Requests that are being answered.
    pub(crate) in_flight: InFlight,
    /// Which are let in.
    pub(crate) flow: FlowControl,
    /// One permit a connection, whichever listener it came to.
    pub(crate) connections: Arc<Semaphore>,
    /// What is measured.
    pub(crate) metrics: Metrics,
    /// The audit log, if there is one.
    pub(crate) audit: Option<Arc<Audit>>,
    /// Numbers of requests.
    pub(crate) ids: Ids,
    /// How far the end has come.
    pub(crate) drain: Drain,
}

impl Service {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// Where the audit log can't be written, and where no request could ever be let in.
    pub(crate) fn open(env: &Env, config: &Config) -> Result<Service, Error> {
        let limits = &config.limits;
        let requests_max = limits.reads_max + limits.writes_max;
        if requests_max == 0 {
            let reason = "with writes_max it must add up to something positive".to_owned();
            return Err(Error::Config { field: "reads_max", reason });
        }
        Ok(Service {
            in_flight: InFlight::default(),
            flow: FlowControl::new(env.clone(), requests_max),
            connections: Arc::new(Semaphore::new(limits.connections_max)),
            metrics: Metrics::new(),
            audit: config.audit.as_ref().map(|audit| Audit::open(env, audit)).transpose()?,
            ids: Ids::new(env.chance()),
            drain: Drain::new(),
        })
    }
}
