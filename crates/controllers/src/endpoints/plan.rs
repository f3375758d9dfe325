//! The Endpoints object of a Service: ready and unready addresses by ports.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::common::{pods, services};

/// Addresses in one object at most; more are left out and the object says so (upstream's `maxCapacity`).
const ADDRESSES_MAX: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// The object as it should be, out of the one that is there (or a new one); none where it is right already.
pub(crate) fn plan(service: &Service, pods: &[Arc<Pod>], current: Option<&Endpoints>) -> Option<Endpoints> {
    let (subsets, cut) = subsets(service, pods);
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.to_owned(), "endpoint-controller".to_owned());
    labels.remove(HEADLESS);
    if services::is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    let mut updated = current.cloned().unwrap_or_else(|| Endpoints {
        metadata: ObjectMeta {
            namespace: service.metadata.namespace.clone(),
            name: service.metadata.name.clone(),
            ..ObjectMeta::default()
        },
        subsets: None,
    });
    updated.metadata.labels = Some(labels);
    updated.subsets = (!subsets.is_empty()).then_some(subsets);
    let annotations = updated.metadata.annotations.get_or_insert_default();
    if cut {
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else {
        annotations.remove(OVER_CAPACITY);
    }
    if annotations.is_empty() {
        updated.metadata.annotations = None;
    }
    (current != Some(&updated)).then_some(updated)
}

fn subsets(service: &Service, pods: &[Arc<Pod>]) -> (Vec<EndpointSubset>, bool) {
    let family = services::families(service).remove(0);
    let unready_too = services::publishes_unready(service);
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or(&[]);
    type Group = (Vec<EndpointPort>, Vec<EndpointAddress>, Vec<EndpointAddress>);
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| services::can_be_endpoint(pod)) {
        if pods::is_deleted(pod) && !unready_too {
            continue;
        }
        let Some(ip) = services::address(pod, &family) else { continue };
        let mut found: Vec<EndpointPort> = ports
            .iter()
            .filter_map(|port| {
                Some(EndpointPort {
                    name: port.name.clone(),
                    port: services::target_port(pod, port)?,
                    protocol: Some(port.protocol.clone().unwrap_or("TCP".into())),
                    app_protocol: port.app_protocol.clone(),
                })
            })
            .collect();
        if found.is_empty() && !(ports.is_empty() && services::is_headless(service)) {
            continue;
        }
        found.sort_by(|a, b| (a.port, &a.protocol, &a.name).cmp(&(b.port, &b.protocol, &b.name)));
        let address = EndpointAddress {
            ip: ip.to_owned(),
            hostname: services::host_name(service, pod),
            node_name: Some(pods::node(pod).to_owned()).filter(|node| !node.is_empty()),
            target_ref: Some(services::reference(pod)),
        };
        let shape = serde_json::to_string(&found).unwrap_or_default();
        let group = groups.entry(shape).or_insert_with(|| (found, Vec::new(), Vec::new()));
        if unready_too || pods::is_ready(pod) { group.1.push(address) } else { group.2.push(address) }
    }
    let total: usize = groups.values().map(|(_, ready, unready)| ready.len() + unready.len()).sum();
    let mut room = ADDRESSES_MAX;
    let mut subsets: Vec<EndpointSubset> = groups
        .into_values()
        .map(|(ports, mut ready, mut unready)| {
            let by = |address: &EndpointAddress| {
                (address.ip.clone(), address.target_ref.as_ref().and_then(|target| target.uid.clone()))
            };
            ready.sort_by_key(by);
            unready.sort_by_key(by);
            ready.truncate(room);
            room -= ready.len();
            unready.truncate(room);
            room -= unready.len();
            let list = |list: Vec<EndpointAddress>| (!list.is_empty()).then_some(list);
            EndpointSubset {
                addresses: list(ready),
                not_ready_addresses: list(unready),
                ports: (!ports.is_empty()).then_some(ports),
            }
        })
        .collect();
    subsets.retain(|subset| subset.addresses.is_some() || subset.not_ready_addresses.is_some());
    (subsets, total > ADDRESSES_MAX)
}
