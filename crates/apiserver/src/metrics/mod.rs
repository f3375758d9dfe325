//! What is measured, under upstream's names. Counting takes no lock and, but for a label's first use, no memory.
//! Source: <https://kubernetes.io/docs/reference/instrumentation/metrics/>

mod flows;
mod histogram;
mod identity;
mod labels;
mod process;
mod render;
mod requests;
mod text;

use std::sync::atomic::AtomicU64;

pub(crate) use flows::{FlowCounts, Rejection};
pub(crate) use identity::{Identity, Login};
pub(crate) use labels::{DryRun, Scope, Verb};
pub(crate) use render::render;
pub(crate) use requests::{Place, Requests};
pub(crate) use text::MEDIA_TYPE;

/// What is measured of a server.
pub(crate) struct Metrics {
    /// Requests and watches.
    pub(crate) requests: Requests,
    /// Who asked, and whether they might.
    pub(crate) identity: Identity,
    /// Connections that ended in their TLS handshake.
    pub(crate) tls_errors: AtomicU64,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        Metrics { requests: Requests::new(), identity: Identity::new(), tls_errors: AtomicU64::new(0) }
    }
}
