//! Namespaces that are deleted: their content goes first, then they are finalized.
//! Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/>

use std::sync::Arc;
use std::time::Duration;

use cox_api::{Body, Request, Resource, Scope, Verb, kinds};
use cox_client::{DeleteOptions, Key, ListOptions, Next, Propagation, Queue, Result};
use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};

use crate::common::{Context, trigger};

/// Until content that needs time (pods that end gracefully, finalizers) is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// As upstream's `--concurrent-namespace-syncs`.
const WORKERS: usize = 10;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let namespaces = context.informers.of::<Namespace>();
    let queue = Queue::<Key>::new(context.env.clone(), "namespace");
    trigger::on_itself(&namespaces, &queue);
    namespaces.synced().await;
    let shell = Arc::new((context, namespaces));
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move {
                let (context, namespaces) = &*shell;
                match namespaces.at(&key) {
                    Some(namespace) if namespace.metadata.deletion_timestamp.is_some() => empty(context, &namespace).await,
                    _ => Ok(Next::Done),
                }
            }
        })
        .await;
}

/// Resources whose objects live in namespaces.
fn resources() -> impl Iterator<Item = Resource> {
    kinds::ALL
        .iter()
        .filter(|kind| kind.stored_as().is_none())
        .map(|kind| kind.info())
        .filter(|info| info.scope == Scope::Namespaced && info.verbs.contains(&"deletecollection"))
        .map(|info| Resource::new(info.group, info.version, info.plural))
}

async fn empty(context: &Context, namespace: &Namespace) -> Result<Next> {
    let name = namespace.metadata.name.as_deref().unwrap_or_default();
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
    if !finalizers.iter().any(|finalizer| finalizer == "kubernetes") {
        return Ok(Next::Done);
    }
    let mut remaining = Vec::new();
    for resource in resources() {
        let one = ListOptions { limit: Some(1), ..ListOptions::default() };
        if context.client.list_objects(&resource, name, &one).await?.items.is_empty() {
            continue;
        }
        let options = DeleteOptions::default().propagation(Propagation::Background);
        context.client.delete_collection(&resource, name, &options).await?;
        let left = context.client.list_objects(&resource, name, &ListOptions::default()).await?.items.len();
        if left > 0 {
            remaining.push(format!("{resource} has {left} resource instances"));
        }
    }
    if !remaining.is_empty() {
        tell(context, namespace, name, &remaining).await?;
        return Ok(Next::After(LOOK_AGAIN));
    }
    let left: Vec<&String> = finalizers.iter().filter(|finalizer| *finalizer != "kubernetes").collect();
    let body = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "uid": namespace.metadata.uid, "resourceVersion": namespace.metadata.resource_version},
        "spec": {"finalizers": left}});
    let request = Request::new(Verb::Update, Resource::new("", "v1", "namespaces"))
        .name(name)
        .subresource("finalize")
        .body(Body::Json(body));
    match context.client.value(request).await {
        Ok(_) => Ok(Next::Done),
        Err(error) if error.is_not_found() => Ok(Next::Done),
        Err(error) => Err(error),
    }
}

/// Says in the status what the namespace still waits for.
async fn tell(context: &Context, namespace: &Namespace, name: &str, remaining: &[String]) -> Result<()> {
    let message = format!("Some resources are remaining: {}", remaining.join(", "));
    let known = namespace.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let told = known.into_iter().any(|condition| {
        condition.type_ == "NamespaceContentRemaining" && condition.message.as_deref() == Some(&message)
    });
    if told {
        return Ok(());
    }
    let now = context.env.now_rfc3339();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now})
    };
    let conditions = json!([
        condition("NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered", "All resources successfully discovered"),
        condition("NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
        condition("NamespaceDeletionContentFailure", "False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        condition("NamespaceContentRemaining", "True", "SomeResourcesRemain", &message),
        condition("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    ]);
    let patch = json!({"status": {"conditions": conditions}});
    match context.client.patch_status::<Namespace>("", name, cox_api::PatchKind::Strategic, patch).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
