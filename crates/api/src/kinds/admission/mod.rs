//! What the kinds of `admissionregistration.k8s.io` share: rules, selectors, expressions, webhooks, policies.

mod client_config;
mod conditions;
pub mod environment;
pub mod expression;
mod match_resources;
mod param_ref;
pub mod policy;
mod rules;
pub mod type_check;
pub mod webhooks;

pub use crate::kinds::mutating_admission_policy::wanted as mutation_type;
pub use match_resources::{default_match_resources, validate as validate_match_resources};
pub use param_ref::{show as show_param_ref, validate as validate_param_ref};

use crate::kind::{KindInfo, Scope, Subresource};

/// The group.
pub const GROUP: &str = "admissionregistration.k8s.io";

/// The facts of a kind of the group.
pub(super) const fn info(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    subresources: &'static [Subresource],
) -> KindInfo {
    KindInfo {
        group: GROUP,
        version: "v1",
        kind,
        plural,
        singular,
        short_names: &[],
        categories: &["api-extensions"],
        scope: Scope::Cluster,
        verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        subresources,
        store_prefix: plural,
    }
}
