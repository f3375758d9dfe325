//! Old ReplicaSets beyond `revisionHistoryLimit` go.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::plan::{Action, Sets};
use super::{annotations, view};

/// Deletes the oldest revisions without pods.
pub(super) fn cleanup(deployment: &Deployment, sets: &Sets) -> Vec<Action> {
    let limit = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
    let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else { return Vec::new() };
    let mut old: Vec<&Arc<ReplicaSet>> =
        sets.old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
    let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    old.sort_by_key(|set| annotations::revision(set));
    old.into_iter()
        .take(surplus)
        .filter(|set| {
            let status = view::status_of(set);
            status.replicas == 0
                && view::replicas_of(set) == 0
                && set.metadata.generation.unwrap_or(0) <= status.observed_generation.unwrap_or(0)
        })
        .map(|set| Action::DeleteSet(set.clone()))
        .collect()
}
