//! `CronJob` of `batch/v1`.

use crate::kind::{Kind, KindInfo, Scope, Subresource};

/// The kind's rules.
pub struct CronJob;

static INFO: KindInfo = KindInfo {
    group: "batch",
    version: "v1",
    kind: "CronJob",
    plural: "cronjobs",
    singular: "cronjob",
    short_names: &["cj"],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource {
        name: "status",
        kind: "CronJob",
        group: "",
        version: "",
        verbs: &["get", "patch", "update"],
    }],
    store_prefix: "cronjobs",
};

impl Kind for CronJob {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
