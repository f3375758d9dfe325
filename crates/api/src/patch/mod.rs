//! Patches: JSON, merge, strategic merge. (Server-side apply is [`crate::managed::apply`].)
//! Source: <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/>
//!
//! Results are not checked against the type yet: the caller decodes them like any other body. Where that fails
//! after a strategic merge patch, [`misfit`] has upstream's words.

mod directives;
pub(crate) mod go;
mod json;
mod list;
mod merge;
mod misfit;
mod strategic;
mod text;

pub use json::{OPERATIONS_MAX, json, json_where_tests_hold};
pub use merge::merge;
pub use misfit::{misfit, unfit, unfit_strategic};
pub use strategic::strategic;
