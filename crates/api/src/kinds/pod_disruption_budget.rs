//! `PodDisruptionBudget` of `policy/v1`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

/// The kind's rules.
pub struct PodDisruptionBudget;

static INFO: KindInfo = KindInfo {
    group: "policy",
    version: "v1",
    kind: "PodDisruptionBudget",
    plural: "poddisruptionbudgets",
    singular: "poddisruptionbudget",
    short_names: &["pdb"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "PodDisruptionBudget",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "poddisruptionbudgets",
};

impl Kind for PodDisruptionBudget {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
