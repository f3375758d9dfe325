//! `Event` of `v1`.

use crate::kind::{Kind, KindInfo, Scope};

/// The kind's rules.
pub struct Event;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "events",
};

impl Kind for Event {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }
}
