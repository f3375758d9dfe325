//! Role-based access control.

mod rule;
mod state;

pub use rule::{PolicyRule, uncovered};
pub use state::{RoleRef, State};
