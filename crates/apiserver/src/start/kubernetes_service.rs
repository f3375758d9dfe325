//! The `kubernetes` service and its endpoints: where pods reach this server.

use cox_api::{Body, Request, Resource, Verb};
use serde_json::{Value, json};

use super::{call, failed};
use crate::error::Error;
use crate::server::ApiServer;

const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";

/// Whether the service is there.
pub(super) fn exists(server: &ApiServer) -> bool {
    server.db().get("services/specs", NAMESPACE, NAME).is_some()
}

/// Makes the service where it is missing, and brings its endpoints up to date.
pub(super) async fn ensure(server: &ApiServer) -> Result<(), Error> {
    let config = server.config();
    let address = config.service_range.first().to_string();
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE,
            "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "sessionAffinity": "None",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": config.advertise_port}]}});
    super::ensure(server, &Resource::new("", "v1", "services"), NAMESPACE, service).await?;
    if config.advertise.is_empty() {
        return Ok(());
    }
    let addresses: Vec<String> = config.advertise.iter().map(ToString::to_string).collect();
    let labels = json!({"endpointslice.kubernetes.io/skip-mirror": "true"});
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels},
        "subsets": [{"addresses": addresses.iter().map(|ip| json!({"ip": ip})).collect::<Vec<Value>>(),
            "ports": [{"name": "https", "port": config.advertise_port, "protocol": "TCP"}]}]});
    settle(server, &Resource::new("", "v1", "endpoints"), "services/endpoints", endpoints, &["subsets"])
        .await?;
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": config.advertise_port, "protocol": "TCP"}],
        "endpoints": addresses.iter()
            .map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}})).collect::<Vec<Value>>()});
    let resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");
    settle(server, &resource, "endpointslices", slice, &["ports", "endpoints"]).await
}

/// Makes an object, or sets some fields of the one that is there.
async fn settle(
    server: &ApiServer,
    resource: &Resource,
    prefix: &str,
    object: Value,
    fields: &[&str],
) -> Result<(), Error> {
    let Some(existing) = server.db().get(prefix, NAMESPACE, NAME) else {
        return super::ensure(server, resource, NAMESPACE, object).await;
    };
    let mut wanted = existing.value();
    for &field in fields {
        wanted[field] = object[field].clone();
    }
    let request =
        Request::new(Verb::Update, resource.clone()).namespace(NAMESPACE).name(NAME).body(Body::Json(wanted));
    call(server, request).await.map(|_| ()).map_err(failed(&object))
}
