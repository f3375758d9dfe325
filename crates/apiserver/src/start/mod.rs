//! What every cluster has: namespaces, roles, priority classes, flow control, addresses of services, the `kubernetes`
//! service.

pub(crate) mod api_services;
mod keep;
mod kubernetes_service;
mod service_addresses;

pub(crate) use keep::keep;
pub(crate) use service_addresses::DEFAULT_SERVICE_CIDR;

use cox_api::{Body, Request, Resource, Response, Status, Verb};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::auth::User;
use crate::auth::defaults::{default_policy, reconcile_binding, reconcile_role};
use crate::error::Error;
use crate::flow;
use crate::server::ApiServer;

const RBAC: &str = "rbac.authorization.k8s.io";
/// How the server's own writes are recorded.
pub(crate) const MANAGER: &str = "kube-apiserver";

/// Writes what is missing.
pub(crate) async fn bootstrap(server: &ApiServer) -> Result<(), Error> {
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        ensure(server, &Resource::new("", "v1", "namespaces"), "", namespace).await?;
    }
    let classes = [
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ];
    for (name, value, description) in classes {
        let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name}, "value": value, "description": description});
        ensure(server, &Resource::new("scheduling.k8s.io", "v1", "priorityclasses"), "", class).await?;
    }
    // None of them needs another, so they share commits.
    let policy = default_policy().into_iter().map(|(plural, object)| reconcile(server, plural, object));
    try_join_all(policy).await?;
    flow::ensure(server).await.map_err(|(what, source)| Error::Bootstrap { what, source })?;
    flow::adopt(server);
    api_services::settle(server).await?;
    service_addresses::ensure_default(server).await?;
    service_addresses::ensure_objects(server).await?;
    if !kubernetes_service::exists(server) && !service_addresses::default_gives(server) {
        tracing::warn!(
            "there is no `kubernetes` service, and the default ServiceCIDR gives no address for one"
        );
        return Ok(());
    }
    kubernetes_service::ensure(server).await
}

/// A call of the server itself, recorded under the manager that it says.
pub(crate) async fn call(server: &ApiServer, mut request: Request) -> Result<Response, Status> {
    request.options.field_manager.get_or_insert_with(|| MANAGER.into());
    server
        .call_authorized(&User::new("system:apiserver", &["system:masters"]), request)
        .await
        .map(|a| a.response)
}

fn failed(object: &Value) -> impl FnOnce(Status) -> Error {
    let what = format!(
        "{} {}",
        object["kind"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap_or_default()
    );
    move |source| Error::Bootstrap { what, source }
}

/// Makes an object that isn't there.
async fn ensure(
    server: &ApiServer,
    resource: &Resource,
    namespace: &str,
    object: Value,
) -> Result<(), Error> {
    let request =
        Request::new(Verb::Create, resource.clone()).namespace(namespace).body(Body::Json(object.clone()));
    let prefix = cox_api::kinds::by_resource(&resource.group, &resource.version, &resource.plural)
        .map_or("", |kind| kind.info().store_prefix);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if server.db().get(prefix, namespace, name).is_some() {
        return Ok(());
    }
    match call(server, request).await {
        Ok(_) => Ok(()),
        Err(status) if status.is_already_exists() => Ok(()),
        Err(status) => Err(failed(&object)(status)),
    }
}

/// Makes a role or binding, or adds what is missing in it.
async fn reconcile(server: &ApiServer, plural: &'static str, object: Value) -> Result<(), Error> {
    let resource = Resource::new(RBAC, "v1", plural);
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let Some(existing) = server.db().get(plural, namespace, name) else {
        return ensure(server, &resource, namespace, object.clone()).await;
    };
    let existing = existing.value();
    let request = |verb| Request::new(verb, resource.clone()).namespace(namespace).name(name);
    let wanted = if plural.ends_with("bindings") {
        match reconcile_binding(&existing, &object) {
            Ok(wanted) => wanted,
            Err(()) => {
                call(server, request(Verb::Delete)).await.map_err(failed(&object))?;
                return ensure(server, &resource, namespace, object.clone()).await;
            }
        }
    } else {
        reconcile_role(&existing, &object)
    };
    match wanted {
        Some(wanted) => call(server, request(Verb::Update).body(Body::Json(wanted)))
            .await
            .map(|_| ())
            .map_err(failed(&object)),
        None => Ok(()),
    }
}
