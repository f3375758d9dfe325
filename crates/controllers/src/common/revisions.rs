//! ControllerRevisions: the versions of a template that StatefulSets and DaemonSets remember.

use std::sync::Arc;

use cox_client::{DeleteOptions, Error, Key, Kind, Reader, Result, revision_of};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Value, json};

use super::context::Context;
use super::hash;
use super::owner::{controller_reference, name, namespace, uid};
use cox_client::labels::Labels;

/// The label that pods carry their revision in.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";

/// What to do so that the history holds the current template.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// The revision of this name is the current one, with the highest number.
    Current(String),
    /// The revision of this name is the current one again: give it this number.
    Renumber { name: String, revision: i64 },
    /// Make it, under this name.
    Create { name: String, hash: String, revision: i64 },
}

/// The part of an object that a revision keeps: a patch that brings the template back.
pub(crate) fn data(template: &PodTemplateSpec) -> Value {
    let mut template = serde_json::to_value(template).unwrap_or_default();
    if let Some(fields) = template.as_object_mut() {
        fields.insert("$patch".into(), "replace".into());
    }
    json!({"spec": {"template": template}})
}

/// The template that a revision keeps.
pub(crate) fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision.data.as_ref()?.0.pointer("/spec/template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

/// Decides; `history` are the revisions that the owner controls.
pub(crate) fn plan(
    owner: &str,
    current: &PodTemplateSpec,
    collisions: Option<i32>,
    history: &[Arc<ControllerRevision>],
) -> Step {
    let highest = history.iter().map(|revision| revision.revision).max().unwrap_or(0);
    let same = history
        .iter()
        .filter(|revision| template(revision).is_some_and(|known| hash::same_template(&known, current)))
        .max_by_key(|revision| revision.revision);
    match same {
        Some(same) if same.revision == highest => Step::Current(name(&**same).to_owned()),
        Some(same) => Step::Renumber { name: name(&**same).to_owned(), revision: highest + 1 },
        None => {
            let hash = hash::of_template(current, collisions);
            Step::Create { name: format!("{owner}-{hash}"), hash, revision: highest + 1 }
        }
    }
}

/// Which revisions nobody needs: beyond `limit`, the oldest first, none that is in use.
pub(crate) fn surplus(
    history: &[Arc<ControllerRevision>],
    limit: i32,
    in_use: impl Fn(&ControllerRevision) -> bool,
) -> Vec<Arc<ControllerRevision>> {
    let mut idle: Vec<Arc<ControllerRevision>> =
        history.iter().filter(|revision| !in_use(revision)).cloned().collect();
    idle.sort_by_key(|revision| revision.revision);
    let count = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    idle.truncate(count);
    idle
}

/// Brings the history up to date; brings the current revision's name. `Err(None)` means that the name is taken by
/// another template: the owner counts a collision and tries again.
pub(crate) async fn ensure<O: Kind>(
    context: &Context,
    revisions: &Reader<ControllerRevision>,
    owner: &O,
    current: &PodTemplateSpec,
    hash_label: &str,
    step: Step,
) -> std::result::Result<String, Option<Error>> {
    let client = &context.client;
    match step {
        Step::Current(name) => Ok(name),
        Step::Renumber { name, revision } => {
            let patch = json!({"revision": revision});
            let written = client
                .patch::<ControllerRevision>(namespace(owner), &name, cox_api::PatchKind::Merge, patch)
                .await
                .map_err(Some)?;
            revisions.wait_until_seen(revision_of(&*written)).await;
            Ok(name)
        }
        Step::Create { name, hash, revision } => {
            let mut labels: Labels =
                current.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
            labels.insert(hash_label.to_owned(), hash);
            let fresh = ControllerRevision {
                metadata: ObjectMeta {
                    namespace: Some(namespace(owner).to_owned()),
                    name: Some(name.clone()),
                    labels: Some(labels),
                    owner_references: Some(vec![controller_reference(owner)]),
                    ..ObjectMeta::default()
                },
                data: Some(RawExtension(data(current))),
                revision,
            };
            match client.create(&fresh).await {
                Ok(written) => {
                    revisions.wait_until_seen(revision_of(&*written)).await;
                    Ok(name)
                }
                Err(error) if error.is_already_exists() => {
                    let there =
                        client.get::<ControllerRevision>(namespace(owner), &name).await.map_err(Some)?;
                    let ours = super::owner::is_controlled_by(&there.metadata, owner)
                        && template(&there).is_some_and(|known| hash::same_template(&known, current));
                    if !ours {
                        return Err(None);
                    }
                    revisions.wait_until_seen(revision_of(&*there)).await;
                    Ok(name)
                }
                Err(error) => Err(Some(error)),
            }
        }
    }
}

/// Deletes revisions.
pub(crate) async fn delete(
    context: &Context,
    revisions: &Reader<ControllerRevision>,
    doomed: &[Arc<ControllerRevision>],
) -> Result<()> {
    for revision in doomed {
        let options = DeleteOptions::uid(uid(&**revision));
        let deleted = context
            .client
            .delete::<ControllerRevision>(namespace(&**revision), name(&**revision), &options)
            .await;
        match deleted {
            Ok(_) => revisions.wait_until_deleted(&Key::of(&**revision), uid(&**revision)).await,
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::object;

    fn revision(name: &str, number: i64, template: &PodTemplateSpec) -> Arc<ControllerRevision> {
        let mut revision: ControllerRevision =
            object(json!({"metadata": {"name": name}, "revision": number}));
        revision.data = Some(RawExtension(data(template)));
        Arc::new(revision)
    }

    #[test]
    fn old_templates_come_back_with_a_new_number() {
        let with = |image: &str| -> PodTemplateSpec {
            serde_json::from_value(json!({"spec": {"containers": [{"name": "c", "image": image}]}})).unwrap()
        };
        let history = [revision("x-a", 1, &with("a")), revision("x-b", 2, &with("b"))];
        assert_eq!(plan("x", &with("b"), None, &history), Step::Current("x-b".into()));
        assert_eq!(plan("x", &with("a"), None, &history), Step::Renumber { name: "x-a".into(), revision: 3 });
        let Step::Create { name, hash, revision: 3 } = plan("x", &with("c"), None, &history) else {
            panic!("a new template is a new revision")
        };
        assert_eq!(name, format!("x-{hash}"));
        assert_eq!(surplus(&history, 0, |revision| revision.revision == 2).len(), 1);
    }
}
