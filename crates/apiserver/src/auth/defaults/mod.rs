//! The default roles and bindings, and how they are kept up to date at start.

mod parse;
mod reconcile;

pub use parse::default_policy;
pub use reconcile::{reconcile_binding, reconcile_role};
