//! The service account `default` of every namespace.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#serviceaccount-controller>

use std::sync::Arc;

use cox_client::{Key, Next, Queue, Result};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::common::Context;

/// The account that pods have which name none.
const NAME: &str = "default";

/// Runs the controller for as long as the component lives.
pub(crate) async fn run(context: Context) {
    let namespaces = context.informers.of::<Namespace>();
    let accounts = context.informers.of::<ServiceAccount>();
    let queue = Queue::<Key>::new(context.env.clone(), "serviceaccount");
    let (by_namespace, by_account) = (queue.clone(), queue.clone());
    namespaces.on_change(move |change| by_namespace.add(Key::of(&**change.latest())));
    accounts.on_change(move |change| {
        if change.new.is_none() {
            by_account.add(Key::new("", change.latest().metadata.namespace.as_deref().unwrap_or_default()));
        }
    });
    namespaces.synced().await;
    accounts.synced().await;
    let shell = Arc::new((context, namespaces, accounts));
    queue
        .run(1, move |key| {
            let shell = shell.clone();
            async move {
                let (context, namespaces, accounts) = &*shell;
                let active = namespaces.get("", &key.name).is_some_and(|namespace| is_active(&namespace));
                if !active || accounts.get(&key.name, NAME).is_some() {
                    return Ok(Next::Done);
                }
                create(context, &key.name).await
            }
        })
        .await;
}

/// Whether a namespace takes new objects.
pub(crate) fn is_active(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_none()
        && namespace.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Terminating")
}

async fn create(context: &Context, namespace: &str) -> Result<Next> {
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some(NAME.into()),
            namespace: Some(namespace.into()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    };
    match context.client.create(&account).await {
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
    use super::run;
    use crate::common::testing::{object, pass, world};
    use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn the_default_account_is_made_and_made_again() {
        let (api, context) = world();
        api.put::<Namespace>(&object(json!({"metadata": {"name": "ns"}})));
        context.env.spawn(run(context.clone()));
        pass(&context, 1).await;
        assert!(api.one::<ServiceAccount>("ns", "default").is_some());
        api.remove::<ServiceAccount>("ns", "default");
        pass(&context, 1).await;
        assert!(api.one::<ServiceAccount>("ns", "default").is_some());
    }
}
