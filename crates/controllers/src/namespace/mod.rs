//! Namespaces that are being deleted: everything in them goes, then they do.

mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cox_api::{Object, Resource};
use cox_client::{DeleteOptions, Key, ListOptions, Next, Queue, Reader, Result};
use k8s_openapi::api::core::v1::{Namespace, Pod};

use crate::common::context::Context;
use crate::common::owner::uid;
use crate::common::{resources, trigger};
use plan::{FINALIZER, Remains};

/// Keys looked at together, as upstream's `--concurrent-namespace-syncs`.
const WORKERS: usize = 10;
/// The pause before looking again at content that something else has to let go.
const PAUSE: Duration = Duration::from_secs(1);
/// Objects in one page of a list.
const PAGE_OBJECTS: u64 = 500;

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let namespaces = context.informers.of::<Namespace>();
    let pods = context.informers.of::<Pod>();
    let queue = Queue::<Key>::new(context.env.clone(), "namespace");
    trigger::on_itself(&namespaces, &queue);
    let (known, on_pods) = (namespaces.clone(), queue.clone());
    // Pods take the longest to go: their end is a reason to look.
    pods.on_change(move |change| {
        if change.new.is_some() {
            return;
        }
        let namespace = change.latest().metadata.namespace.as_deref().unwrap_or("");
        let ends = known.get("", namespace).is_some_and(|ns| ns.metadata.deletion_timestamp.is_some());
        if ends {
            on_pods.add(Key::new("", namespace));
        }
    });
    namespaces.synced().await;
    let shell = Arc::new(Shell { context, namespaces });
    queue
        .run(WORKERS, move |key| {
            let shell = shell.clone();
            async move { shell.sync(&key).await }
        })
        .await;
}

struct Shell {
    context: Context,
    namespaces: Reader<Namespace>,
}

impl Shell {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(namespace) = self.namespaces.at(key) else { return Ok(Next::Done) };
        let held = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
        if namespace.metadata.deletion_timestamp.is_none() || !held.iter().any(|held| held == FINALIZER) {
            return Ok(Next::Done);
        }
        let remains = self.empty(&key.name).await;
        if let Some(status) = plan::status(&namespace, &remains, self.context.env.now()) {
            let updated = Namespace { status: Some(status), ..(*namespace).clone() };
            match self.context.client.update_status(&updated).await {
                Ok(written) => self.namespaces.wait_until_seen_object(&written).await,
                Err(error) if error.is_not_found() => return Ok(Next::Done),
                Err(error) => return Err(error),
            }
        }
        if !remains.is_empty() {
            return Ok(Next::After(PAUSE));
        }
        let Some(newest) = self.namespaces.at(key).filter(|newest| uid(&**newest) == uid(&*namespace)) else {
            return Ok(Next::Done);
        };
        let mut finished = (*newest).clone();
        if let Some(list) = finished.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
            list.retain(|finalizer| finalizer != FINALIZER);
        }
        match self.context.client.update_subresource(&finished, "finalize").await {
            Ok(_) => Ok(Next::Done),
            Err(error) if error.is_not_found() => Ok(Next::Done),
            Err(error) => Err(error),
        }
    }

    /// Deletes what is there and tells what is left.
    async fn empty(&self, namespace: &str) -> Remains {
        let mut remains = Remains::default();
        for resource in self.resources().await {
            if let Err(error) = self.empty_of(namespace, &resource, &mut remains).await {
                // A kind that isn't served here has no objects here.
                if !error.is_not_found() {
                    remains.failures.push(format!("{resource}: {error}"));
                }
            }
        }
        remains
    }

    async fn empty_of(&self, namespace: &str, resource: &Resource, remains: &mut Remains) -> Result<()> {
        let client = &self.context.client;
        if self.list(namespace, resource).await?.is_empty() {
            return Ok(());
        }
        let options = DeleteOptions::default().propagation(cox_client::Propagation::Background);
        client.delete_collection(resource, namespace, &options).await?;
        let left = self.list(namespace, resource).await?;
        if left.is_empty() {
            return Ok(());
        }
        *remains.objects.entry(format!("{}.{}", resource.plural, resource.group)).or_default() += left.len();
        let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
        for object in &left {
            let value = object.value();
            for finalizer in value["metadata"]["finalizers"].as_array().into_iter().flatten() {
                *finalizers.entry(finalizer.as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
        for (finalizer, count) in finalizers {
            *remains.finalizers.entry(finalizer).or_default() += count;
        }
        Ok(())
    }

    async fn list(&self, namespace: &str, resource: &Resource) -> Result<Vec<Object>> {
        let mut options = ListOptions { limit: Some(PAGE_OBJECTS), ..ListOptions::default() };
        let mut objects = Vec::new();
        loop {
            let page = self.context.client.list_objects(resource, namespace, &options).await?;
            objects.extend(page.items);
            options.continue_token = page.continue_token;
            if options.continue_token.is_none() {
                return Ok(objects);
            }
        }
    }

    /// Every resource with namespaces: the built-in ones, and those of custom resource definitions.
    async fn resources(&self) -> Vec<Resource> {
        let mut all: Vec<Resource> = resources::deletable()
            .filter(|info| resources::is_namespaced(info) && info.verbs.contains(&"deletecollection"))
            .map(resources::resource)
            .collect();
        let definitions = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        // Where there are no such definitions, there are no such objects.
        if let Ok(list) = self.list("", &definitions).await {
            for definition in list.iter().map(Object::value) {
                let spec = &definition["spec"];
                let served = spec["versions"].as_array().into_iter().flatten().find(|v| v["served"] == true);
                let version = served.and_then(|version| version["name"].as_str());
                let plural = spec["names"]["plural"].as_str();
                if let (Some(version), Some(plural), "Namespaced") =
                    (version, plural, spec["scope"].as_str().unwrap_or_default())
                {
                    all.push(Resource::new(spec["group"].as_str().unwrap_or_default(), version, plural));
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::common::testing::{object, pass, pod, world};
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn everything_goes_before_the_namespace_does() {
        let (api, context) = world();
        api.put::<Namespace>(&object(
            json!({"metadata": {"name": "ns"}, "spec": {"finalizers": ["kubernetes"]}}),
        ));
        api.put::<ConfigMap>(&object(json!({"metadata": {"namespace": "ns", "name": "a"}})));
        api.put::<ConfigMap>(&object(json!({"metadata": {"namespace": "other", "name": "a"}})));
        api.put::<Pod>(&pod("p").running("n1").build());
        context.env.spawn(run(context.clone()));
        pass(&context, 1).await;
        context.client.delete::<Namespace>("", "ns", &Default::default()).await.unwrap();
        pass(&context, 20).await;
        let status = api.one::<Namespace>("", "ns").unwrap().status.unwrap();
        assert_eq!(status.phase.as_deref(), Some("Terminating"));
        let remaining =
            status.conditions.unwrap().into_iter().find(|c| c.type_ == "NamespaceContentRemaining");
        let message = remaining.unwrap().message.unwrap();
        assert_eq!(message, "Some resources are remaining: pods. has 1 resource instances");
        assert!(api.one::<ConfigMap>("ns", "a").is_none());
        // The kubelet has ended the pod.
        api.remove::<Pod>("ns", "p");
        pass(&context, 1).await;
        assert!(api.one::<Namespace>("", "ns").is_none());
        assert!(api.one::<ConfigMap>("other", "a").is_some());
    }
}
