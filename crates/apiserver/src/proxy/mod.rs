//! The way to nodes: what a pod's log, exec, attach, port-forward and the proxy subresources need.

mod dialer;

pub use dialer::{ByteStream, Dialer, DirectDialer};
