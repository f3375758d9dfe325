//! From a container of a pod's spec to what the runtime is asked for.

pub(crate) mod config;
pub(crate) mod env;
pub(crate) mod etc;
pub(crate) mod expand;
