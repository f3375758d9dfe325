//! Services and the pods behind them.

use std::collections::BTreeSet;
use std::sync::Arc;

use cox_client::{Key, Queue, Reader, Selector};
use k8s_openapi::api::core::v1::{Container, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owner::{name, namespace};
use super::pods;

/// What the pods of a Service are chosen by; none where nobody chooses them (no selector, ExternalName).
pub(crate) fn selector(service: &Service) -> Option<Selector> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let labels = spec.selector.as_ref().filter(|labels| !labels.is_empty())?;
    Some(Selector::of_map(Some(labels)))
}

pub(crate) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

pub(crate) fn publishes_unready(service: &Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| spec.publish_not_ready_addresses == Some(true))
}

/// The families of a Service's addresses, the first one first.
pub(crate) fn families(service: &Service) -> Vec<String> {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.clone()).unwrap_or_default();
    if families.is_empty() { vec!["IPv4".to_owned()] } else { families }
}

/// The first address of a family.
pub(crate) fn address<'a>(pod: &'a Pod, family: &str) -> Option<&'a str> {
    let status = pod.status.as_ref()?;
    let all = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    all.chain(status.pod_ip.as_deref()).find(|ip| !ip.is_empty() && ip.contains(':') == (family == "IPv6"))
}

/// Whether a pod can be an endpoint: it has an address and hasn't ended.
pub(crate) fn can_be_endpoint(pod: &Pod) -> bool {
    let has_address = pod.status.as_ref().is_some_and(|status| {
        status.pod_ip.as_deref().is_some_and(|ip| !ip.is_empty())
            || status.pod_ips.as_ref().is_some_and(|ips| !ips.is_empty())
    });
    has_address && !pods::is_terminal(pod)
}

/// The port of a pod behind a Service's port; none where the pod has none of that name.
pub(crate) fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(wanted)) if wanted.is_empty() => Some(port.port),
        Some(IntOrString::String(wanted)) => {
            let spec = pod.spec.as_ref()?;
            let sidecars = spec
                .init_containers
                .iter()
                .flatten()
                .filter(|container| container.restart_policy.as_deref() == Some("Always"));
            spec.containers.iter().chain(sidecars).find_map(|container| named(container, wanted, protocol))
        }
    }
}

fn named(container: &Container, wanted: &str, protocol: &str) -> Option<i32> {
    let mut ports = container.ports.iter().flatten();
    ports
        .find(|port| {
            port.name.as_deref() == Some(wanted) && port.protocol.as_deref().unwrap_or("TCP") == protocol
        })
        .map(|port| port.container_port)
}

/// The host name under which a headless Service knows a pod.
pub(crate) fn host_name(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let inside = namespace(pod) == namespace(service) && spec.subdomain.as_deref() == Some(name(service));
    spec.hostname.clone().filter(|host| inside && !host.is_empty())
}

/// Every change of a pod that endpoints show is a look at the Services that choose it, before or after.
pub(crate) fn on_pods(pods: &Reader<Pod>, services: &Reader<Service>, queue: &Queue<Key>) {
    let (services, queue) = (services.clone(), queue.clone());
    pods.on_change(move |change| {
        if let (Some(old), Some(new)) = (&change.old, &change.new)
            && !is_relevant(old, new)
        {
            return;
        }
        let sides: Vec<&Arc<Pod>> = [&change.old, &change.new].into_iter().flatten().collect();
        let mut keys = BTreeSet::new();
        for service in services.in_namespace(namespace(&***sides.first().expect("a change has a side"))) {
            let Some(selector) = selector(&service) else { continue };
            if sides.iter().any(|pod| selector.matches(&pod.metadata.labels)) {
                keys.insert(Key::of(&*service));
            }
        }
        keys.into_iter().for_each(|key| queue.add(key));
    });
}

/// Whether anything changed that endpoints show.
fn is_relevant(old: &Pod, new: &Pod) -> bool {
    let ips = |pod: &Pod| pod.status.as_ref().map(|status| (status.pod_ip.clone(), status.pod_ips.clone()));
    let host = |pod: &Pod| pod.spec.as_ref().map(|spec| (spec.hostname.clone(), spec.subdomain.clone()));
    old.metadata.labels != new.metadata.labels
        || old.metadata.uid != new.metadata.uid
        || pods::is_ready(old) != pods::is_ready(new)
        || pods::is_deleted(old) != pods::is_deleted(new)
        || pods::is_terminal(old) != pods::is_terminal(new)
        || pods::node(old) != pods::node(new)
        || ips(old) != ips(new)
        || host(old) != host(new)
}

/// A reference to a pod, as endpoints carry it.
pub(crate) fn reference(pod: &Pod) -> k8s_openapi::api::core::v1::ObjectReference {
    k8s_openapi::api::core::v1::ObjectReference {
        kind: Some(<Pod as k8s_openapi::Resource>::KIND.to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..k8s_openapi::api::core::v1::ObjectReference::default()
    }
}
