//! The supervisor of one pod: a small executable with one thread that holds the pod's namespaces, makes its
//! containers, reaps them, writes their logs and outlives whoever started it.
//!
//! As a library this crate is the protocol between the supervisor and the node's agent.

pub mod protocol;
pub mod wire;

mod init;
mod supervisor;

pub use supervisor::main;
