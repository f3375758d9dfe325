//! `Job` of `batch/v1`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

/// The kind's rules.
pub struct Job;

static INFO: KindInfo = KindInfo {
    group: "batch",
    version: "v1",
    kind: "Job",
    plural: "jobs",
    singular: "job",
    short_names: &[],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "Job",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "jobs",
};

impl Kind for Job {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
