//! Annotations that keep a rollout's books.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use crate::common::owner::annotation;

pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
pub(crate) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(crate) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub(crate) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a Deployment that its ReplicaSets don't get.
const NOT_COPIED: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// The annotations that a ReplicaSet of this Deployment gets from it.
pub(super) fn copied(deployment: &Deployment) -> BTreeMap<String, String> {
    let mut annotations = deployment.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| !NOT_COPIED.contains(&key.as_str()));
    annotations
}

/// The revision of a ReplicaSet; 0 where it has none.
pub(super) fn revision(set: &ReplicaSet) -> i64 {
    annotation(&set.metadata, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A number in an annotation of a ReplicaSet.
pub(super) fn number(set: &ReplicaSet, key: &str) -> Option<i32> {
    annotation(&set.metadata, key).and_then(|text| text.parse().ok())
}

/// What a ReplicaSet that becomes the newest one has to have: (changes of its annotations, its revision).
pub(super) fn for_newest(
    deployment: &Deployment,
    set: Option<&ReplicaSet>,
    newest_revision: i64,
) -> (BTreeMap<String, String>, i64) {
    let mut wanted = copied(deployment);
    let before = set.map_or(0, revision);
    let after = before.max(newest_revision);
    if before < after {
        wanted.insert(REVISION.to_owned(), after.to_string());
        if before > 0 {
            let set = set.expect("a revision comes from a ReplicaSet");
            let history = annotation(&set.metadata, REVISION_HISTORY).filter(|text| !text.is_empty());
            let history = history.map_or_else(|| before.to_string(), |text| format!("{text},{before}"));
            wanted.insert(REVISION_HISTORY.to_owned(), history);
        }
    }
    if let Some(set) = set {
        let held = set.metadata.annotations.clone().unwrap_or_default();
        wanted.retain(|key, value| held.get(key) != Some(value));
    }
    (wanted, after)
}
