//! What several controllers share.

pub(crate) mod batches;
pub(crate) mod claim;
pub(crate) mod conditions;
pub(crate) mod context;
pub(crate) mod custom_kinds;
pub(crate) mod hash;
pub(crate) mod intstr;
pub(crate) mod nodes;
pub(crate) mod owner;
pub(crate) mod pods;
pub(crate) mod rank;
pub(crate) mod resources;
pub(crate) mod revisions;
pub(crate) mod services;
pub(crate) mod trigger;

#[cfg(test)]
pub(crate) mod testing;

pub use context::Context;
