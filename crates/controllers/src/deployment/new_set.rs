//! The ReplicaSet of the current template.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::annotations::{self, DESIRED_REPLICAS, MAX_REPLICAS, REVISION};
use super::plan::{Action, Sets};
use super::view;
use crate::common::hash::{TEMPLATE_HASH_LABEL, of_template};
use crate::common::owner::{annotation, controller_reference, name};

/// The revision that the newest ReplicaSet has to have.
fn newest_revision(sets: &Sets) -> i64 {
    sets.old.iter().map(|set| annotations::revision(set)).max().unwrap_or(0) + 1
}

/// The annotations that tell of the size a ReplicaSet was made for.
pub(super) fn size_annotations(deployment: &Deployment) -> BTreeMap<String, String> {
    let replicas = view::replicas(deployment);
    let most = replicas + view::max_surge(deployment);
    [(DESIRED_REPLICAS.to_owned(), replicas.to_string()), (MAX_REPLICAS.to_owned(), most.to_string())].into()
}

/// Makes it, with `replicas` pods.
pub(super) fn create(deployment: &Deployment, sets: &Sets, replicas: i32) -> Vec<Action> {
    let Some(spec) = &deployment.spec else { return Vec::new() };
    let status = deployment.status.as_ref();
    let hash = of_template(&spec.template, status.and_then(|status| status.collision_count));
    let mut template = spec.template.clone();
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().insert(TEMPLATE_HASH_LABEL.to_owned(), hash.clone());
    let labels = metadata.labels.clone();
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(TEMPLATE_HASH_LABEL.to_owned(), hash.clone());
    let (mut annotations, revision) = annotations::for_newest(deployment, None, newest_revision(sets));
    annotations.extend(size_annotations(deployment));
    let set = ReplicaSet {
        metadata: ObjectMeta {
            namespace: deployment.metadata.namespace.clone(),
            name: Some(format!("{}-{hash}", name(deployment))),
            labels,
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(replicas),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    };
    let mut actions = vec![Action::CreateSet(Box::new(set))];
    actions.extend(book_revision(deployment, revision));
    actions
}

/// Brings the annotations and `minReadySeconds` of the ReplicaSet that is there up to date.
pub(super) fn update_existing(
    deployment: &Deployment,
    set: &Arc<ReplicaSet>,
    sets: &Sets,
    actions: &mut Vec<Action>,
) {
    let (changes, revision) = annotations::for_newest(deployment, Some(set), newest_revision(sets));
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let held = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let mut patch = json!({});
    if !changes.is_empty() {
        patch["metadata"] = json!({"annotations": changes});
    }
    if wanted != held {
        patch["spec"] = json!({"minReadySeconds": wanted});
    }
    if patch != json!({}) {
        actions.push(Action::PatchSet { set: set.clone(), patch, scaled: None });
    }
    actions.extend(book_revision(deployment, revision));
}

/// The Deployment tells the revision of its newest ReplicaSet.
fn book_revision(deployment: &Deployment, revision: i64) -> Option<Action> {
    let text = revision.to_string();
    if annotation(&deployment.metadata, REVISION) == Some(&text) {
        return None;
    }
    let mut annotations = serde_json::Map::new();
    annotations.insert(REVISION.to_owned(), Value::String(text));
    Some(Action::PatchDeployment(json!({"metadata": {"annotations": annotations}})))
}
