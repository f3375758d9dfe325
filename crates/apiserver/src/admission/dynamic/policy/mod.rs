//! Policies in CEL, which bindings put in force.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>

mod bound;
mod mutating;
mod params;
mod validating;
mod variables;

pub(super) use bound::Binding;
pub(super) use mutating::{MutatingPolicy, Round, admit};
pub(super) use validating::{ValidatingPolicy, validate};
