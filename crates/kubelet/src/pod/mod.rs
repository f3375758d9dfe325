//! One pod of this node: what is known of it ([`Known`]), what should happen next ([`plan`], pure), what the
//! API is told ([`status`], pure), and the worker that carries it out.

pub(crate) mod backoff;
pub(crate) mod known;
pub(crate) mod plan;
pub(crate) mod spec;
pub(crate) mod status;
#[cfg(test)]
mod tests;

pub(crate) use known::{Known, Memory};
