//! Netlink without a runtime: a codec and blocking sockets for rtnetlink (interfaces, addresses, routes,
//! neighbours), nf_tables and conntrack, and network namespaces.
//!
//! The kernel works on a request within the `send` that carries it, so a batch of requests costs one
//! system call, and all answers but those of dumps are waiting when it returns.

mod error;

pub use error::{Error, Result};
