//! The config map `kube-root-ca.crt` in every namespace: how pods know the API server.
//! Source: <https://kubernetes.io/docs/concepts/configuration/configmap/>, KEP-1205 (RootCAConfigMap).

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_api::PatchKind;
use cox_client::{Key, Next, Queue, Result, Scope};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use crate::common::Context;
use crate::serviceaccount::is_active;

const NAME: &str = "kube-root-ca.crt";
const FILE: &str = "ca.crt";
const ANNOTATION: &str = "kubernetes.io/description";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
     endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
     distributions of Kubernetes clusters.";

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context, ca_pem: Arc<str>) {
    let namespaces = context.informers.of::<Namespace>();
    let maps = context.informers.scoped::<ConfigMap>(Scope::named(NAME));
    let queue = Queue::<Key>::new(context.env.clone(), "rootca");
    let (by_namespace, by_map) = (queue.clone(), queue.clone());
    namespaces.on_change(move |change| by_namespace.add(Key::of(&**change.latest())));
    maps.on_change(move |change| {
        by_map.add(Key::new("", change.latest().metadata.namespace.as_deref().unwrap_or_default()))
    });
    namespaces.synced().await;
    maps.synced().await;
    let shell = Arc::new((context, namespaces, maps, ca_pem));
    queue
        .run(1, move |key| {
            let shell = shell.clone();
            async move {
                let (context, namespaces, maps, ca_pem) = &*shell;
                if !namespaces.get("", &key.name).is_some_and(|namespace| is_active(&namespace)) {
                    return Ok(Next::Done);
                }
                match maps.get(&key.name, NAME) {
                    None => create(context, &key.name, ca_pem).await,
                    Some(map) if is_right(&map, ca_pem) => Ok(Next::Done),
                    Some(_) => {
                        let patch = json!([
                            {"op": "add", "path": "/data", "value": {FILE: &**ca_pem}},
                        ]);
                        context.client.patch::<ConfigMap>(&key.name, NAME, PatchKind::Json, patch).await?;
                        Ok(Next::Done)
                    }
                }
            }
        })
        .await;
}

fn is_right(map: &ConfigMap, ca_pem: &str) -> bool {
    let data = map.data.as_ref();
    data.is_some_and(|data| data.len() == 1 && data.get(FILE).map(String::as_str) == Some(ca_pem))
}

async fn create(context: &Context, namespace: &str, ca_pem: &str) -> Result<Next> {
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(NAME.into()),
            namespace: Some(namespace.into()),
            annotations: Some(BTreeMap::from([(ANNOTATION.to_owned(), DESCRIPTION.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(FILE.to_owned(), ca_pem.to_owned())])),
        ..ConfigMap::default()
    };
    match context.client.create(&map).await {
        Ok(_) => Ok(Next::Done),
        Err(error)
            if error.is_already_exists() || error.is_namespace_terminating() || error.is_not_found() =>
        {
            Ok(Next::Done)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{NAME, run};
    use crate::common::testing::{object, pass, world};
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn the_certificate_is_published_and_kept() {
        let (api, context) = world();
        api.put::<Namespace>(&object(json!({"metadata": {"name": "ns"}})));
        context.env.spawn(run(context.clone(), "PEM".into()));
        pass(&context, 1).await;
        let held = || -> Option<String> { api.one::<ConfigMap>("ns", NAME)?.data?.remove("ca.crt") };
        assert_eq!(held().as_deref(), Some("PEM"));
        api.edit::<ConfigMap>("ns", NAME, |map| map.data = None);
        pass(&context, 1).await;
        assert_eq!(held().as_deref(), Some("PEM"));
        api.remove::<ConfigMap>("ns", NAME);
        pass(&context, 1).await;
        assert_eq!(held().as_deref(), Some("PEM"));
    }
}
