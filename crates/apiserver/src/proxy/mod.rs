//! The way to nodes and pods: what a pod's log, exec, attach, port-forward and the proxy subresources need, and
//! webhooks that are services.

mod dialer;
mod service;

pub use dialer::{ByteStream, Dialer, DirectDialer};
pub(crate) use service::{allowed, service_endpoint, unavailable};
