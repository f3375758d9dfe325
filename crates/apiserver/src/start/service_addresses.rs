//! The blocks that services get addresses from, and the objects of the addresses that they have.

use std::net::IpAddr;

use cox_api::kinds::{ip_address, service_cidr};
use cox_api::{Body, PatchKind, Request, Resource, Verb};
use cox_store::{Expect, Key, Txn};
use serde_json::json;

use super::{call, failed};
use crate::allocate::{address_objects, addresses_of};
use crate::db::WriteError;
use crate::error::Error;
use crate::server::ApiServer;

/// The name of the object for the configured range.
pub(crate) const DEFAULT_SERVICE_CIDR: &str = "kubernetes";
/// Upstream's name of what says that the configured range can be used.
const CIDR_CONTROLLER: &str = "kubernetes-service-cidr-controller";

/// Makes the object of the configured range where it is missing, and says that it is ready where nobody says
/// anything: there may be no controllers.
pub(super) async fn ensure_default(server: &ApiServer) -> Result<(), Error> {
    let range = server.config().service_range.to_string();
    let object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": DEFAULT_SERVICE_CIDR}, "spec": {"cidrs": [range]}});
    let resource = Resource::new("networking.k8s.io", "v1", "servicecidrs");
    super::ensure(server, &resource, "", object.clone()).await?;
    let Some(existing) =
        server.db().get(service_cidr::STORE_PREFIX, "", DEFAULT_SERVICE_CIDR).map(|object| object.value())
    else {
        return Ok(());
    };
    if existing["spec"] != object["spec"] {
        tracing::warn!(
            configured = range,
            existing = %existing["spec"]["cidrs"],
            "the default ServiceCIDR isn't the configured one and stays as it is"
        );
        return Ok(());
    }
    let said = existing["status"]["conditions"].as_array();
    let said = said.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] != "Unknown");
    if said || !existing["metadata"]["deletionTimestamp"].is_null() {
        return Ok(());
    }
    let status = json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": DEFAULT_SERVICE_CIDR},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "",
            "message": "Kubernetes default Service CIDR is ready",
            "lastTransitionTime": server.env().now_rfc3339()}]}});
    let mut request = Request::new(Verb::Patch, resource)
        .name(DEFAULT_SERVICE_CIDR)
        .subresource("status")
        .body(Body::Patch(PatchKind::Apply, status));
    request.options.field_manager = Some(CIDR_CONTROLLER.into());
    request.options.force = Some(true);
    call(server, request).await.map(|_| ()).map_err(failed(&object))
}

/// Whether the object of the configured range is there and gives addresses. One that is being deleted doesn't, and stays
/// for as long as services have addresses of it.
pub(super) fn default_gives(server: &ApiServer) -> bool {
    let object = server.db().get(service_cidr::STORE_PREFIX, "", DEFAULT_SERVICE_CIDR);
    object.is_some_and(|object| service_cidr::gives_addresses(&object.value()))
}

/// Makes the objects that are missing for addresses that services have: a store of before there were such objects has
/// none. Nothing is given an address before this is done.
pub(super) async fn ensure_objects(server: &ApiServer) -> Result<(), Error> {
    for service in server.db().list("services/specs", None) {
        for address in addresses_of(&service.value()) {
            let name = address.to_string();
            let key = Key::new(ip_address::STORE_PREFIX, "", &name);
            let object =
                address_objects::new(server.env(), IpAddr::V4(address), service.namespace(), service.name());
            match server.db().commit(Txn::put(key, Expect::Absent, object)).await {
                Ok(_) => tracing::info!(name, service = service.name(), "made the object of an address"),
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => {
                    return Err(Error::Bootstrap { what: format!("IPAddress {name}"), source: error.into() });
                }
            }
        }
    }
    Ok(())
}
