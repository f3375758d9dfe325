//! Which slices a Service has: endpoints by address family and ports, at most so many in a slice, with as few
//! changes as possible.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::common::owner::{controller_reference, is_controlled_by, name};
use crate::common::{pods, services};

pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(crate) const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";
/// Labels of a Service that its slices don't get.
const NOT_COPIED: &[&str] = &[SERVICE_NAME, MANAGED_BY, HEADLESS];

/// What to do.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) create: Vec<EndpointSlice>,
    pub(crate) update: Vec<EndpointSlice>,
    pub(crate) delete: Vec<Arc<EndpointSlice>>,
}

/// What is known.
pub(crate) struct Input<'a> {
    pub(crate) service: &'a Service,
    /// Pods that its selector matches.
    pub(crate) pods: &'a [Arc<Pod>],
    /// Slices of this Service that this controller manages.
    pub(crate) slices: &'a [Arc<EndpointSlice>],
    /// Endpoints in one slice at most.
    pub(crate) endpoints_max: usize,
}

/// A kind of slice: address family and ports (as JSON, so that they can be compared).
type Shape = (String, String);

/// Decides. `node` finds a pod's node, for its zone.
pub(crate) fn plan(input: &Input<'_>, node: impl Fn(&str) -> Option<Arc<Node>>) -> Plan {
    let service = input.service;
    let mut wanted: BTreeMap<Shape, (Vec<EndpointPort>, BTreeMap<String, Endpoint>)> = BTreeMap::new();
    let families = services::families(service);
    for pod in input.pods.iter().filter(|pod| services::can_be_endpoint(pod)) {
        let Some(ports) = ports_of(service, pod) else { continue };
        for family in &families {
            let Some(address) = services::address(pod, family) else { continue };
            let shape = (family.clone(), shape_of(&ports));
            let entry = wanted.entry(shape).or_insert_with(|| (ports.clone(), BTreeMap::new()));
            entry.1.insert(identity(pod, address), endpoint(service, pod, address, &node));
        }
    }
    let mut plan = Plan::default();
    let mut kept = Vec::new();
    for slice in input.slices {
        let shape = (slice.address_type.clone(), shape_of(slice.ports.as_deref().unwrap_or(&[])));
        // An address family can't be changed, and slices in the wrong hands are replaced.
        if !families.contains(&slice.address_type) || !is_controlled_by(&slice.metadata, service) {
            plan.delete.push(slice.clone());
        } else {
            kept.push((shape, slice));
        }
    }
    let labels = labels_of(service);
    let mut filled: BTreeMap<Shape, Vec<(Arc<EndpointSlice>, EndpointSlice)>> = BTreeMap::new();
    for (shape, slice) in kept {
        let mut updated = (**slice).clone();
        let mut missing = wanted.get_mut(&shape);
        updated.endpoints = slice
            .endpoints
            .iter()
            .flatten()
            .filter_map(|endpoint| missing.as_mut()?.1.remove(&identity_of(endpoint)))
            .collect::<Vec<_>>()
            .into();
        updated.metadata.labels = Some(labels.clone());
        filled.entry(shape).or_default().push((slice.clone(), updated));
    }
    for (shape, (ports, mut endpoints)) in wanted {
        let slices = filled.entry(shape.clone()).or_default();
        // The fullest first, so that slices get full before new ones are made.
        slices.sort_by_key(|(_, slice)| std::cmp::Reverse(slice.endpoints.as_ref().map_or(0, Vec::len)));
        for (_, slice) in slices.iter_mut() {
            let list = slice.endpoints.get_or_insert_default();
            while list.len() < input.endpoints_max {
                let Some((_, endpoint)) = endpoints.pop_first() else { break };
                list.push(endpoint);
            }
        }
        while !endpoints.is_empty() {
            let rest: Vec<Endpoint> = std::iter::from_fn(|| endpoints.pop_first())
                .take(input.endpoints_max)
                .map(|(_, endpoint)| endpoint)
                .collect();
            plan.create.push(new_slice(service, &shape.0, ports.clone(), rest));
        }
    }
    settle(filled.into_values().flatten().collect(), &families, service, &mut plan);
    plan
}

/// Empty slices go, but for one a family that tells that there is nothing.
fn settle(
    slices: Vec<(Arc<EndpointSlice>, EndpointSlice)>,
    families: &[String],
    service: &Service,
    plan: &mut Plan,
) {
    for family in families {
        let of_family = || slices.iter().filter(|(_, slice)| slice.address_type == *family);
        let has_some = plan.create.iter().any(|slice| slice.address_type == *family)
            || of_family().any(|(_, slice)| slice.endpoints.as_ref().is_some_and(|list| !list.is_empty()));
        let mut placeholder = !has_some;
        for (before, slice) in of_family() {
            if slice.endpoints.as_ref().is_none_or(Vec::is_empty) {
                if !placeholder {
                    plan.delete.push(before.clone());
                    continue;
                }
                placeholder = false;
            }
            if differs(before, slice) {
                plan.update.push(slice.clone());
            }
        }
        if placeholder {
            plan.create.push(new_slice(service, family, Vec::new(), Vec::new()));
        }
    }
}

fn differs(before: &EndpointSlice, after: &EndpointSlice) -> bool {
    let endpoints = |slice: &EndpointSlice| slice.endpoints.clone().unwrap_or_default();
    before.metadata.labels != after.metadata.labels || endpoints(before) != endpoints(after)
}

/// The ports of a pod for a Service; none where the Service has ports and the pod none of them.
fn ports_of(service: &Service, pod: &Pod) -> Option<Vec<EndpointPort>> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or(&[]);
    let found: Vec<EndpointPort> = ports
        .iter()
        .filter_map(|port| {
            Some(EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(services::target_port(pod, port)?),
                protocol: Some(port.protocol.clone().unwrap_or("TCP".into())),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    let portless = ports.is_empty() && services::is_headless(service);
    (!found.is_empty() || portless || ports.is_empty()).then_some(found)
}

fn shape_of(ports: &[EndpointPort]) -> String {
    let mut texts: Vec<String> = ports
        .iter()
        .map(|port| serde_json::to_value(port).map(|v: Value| v.to_string()).unwrap_or_default())
        .collect();
    texts.sort();
    texts.join(",")
}

fn identity(pod: &Pod, address: &str) -> String {
    format!("{}/{address}", pod.metadata.uid.as_deref().unwrap_or(""))
}

fn identity_of(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or("");
    format!("{uid}/{}", endpoint.addresses.first().map_or("", String::as_str))
}

fn endpoint(
    service: &Service,
    pod: &Pod,
    address: &str,
    node: &impl Fn(&str) -> Option<Arc<Node>>,
) -> Endpoint {
    let (serving, terminating) = (pods::is_ready(pod), pods::is_deleted(pod));
    let ready = services::publishes_unready(service) || (serving && !terminating);
    let node_name = Some(pods::node(pod).to_owned()).filter(|node| !node.is_empty());
    let zone = node_name
        .as_deref()
        .and_then(node)
        .and_then(|node| node.metadata.labels.as_ref()?.get("topology.kubernetes.io/zone").cloned());
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: services::host_name(service, pod),
        node_name,
        target_ref: Some(services::reference(pod)),
        zone,
        ..Endpoint::default()
    }
}

fn labels_of(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.retain(|key, _| !NOT_COPIED.contains(&key.as_str()));
    labels.insert(SERVICE_NAME.to_owned(), name(service).to_owned());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if services::is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels
}

fn new_slice(
    service: &Service,
    family: &str,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    EndpointSlice {
        metadata: ObjectMeta {
            namespace: service.metadata.namespace.clone(),
            generate_name: Some(format!("{}-", name(service))),
            labels: Some(labels_of(service)),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: family.to_owned(),
        ports: Some(ports),
        endpoints: Some(endpoints),
    }
}
