//! Services and EndpointSlices as the node's network wants them (the kube-proxy part).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cox_client::{Reader, SharedInformers};
use cox_env::Env;
use cox_network::{Cidr, Endpoint, NodeNetwork, Protocol, ServicePort, ServicePortKey, TrafficPolicy};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use tokio::sync::Notify;

/// Changes are collected this long, so that a rollout doesn't write the table once per pod.
const COLLECT: Duration = Duration::from_millis(5);
/// Until a refused state is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Keeps the node's forwarding at what the API says, for as long as the component lives.
pub(crate) async fn run(env: Env, informers: SharedInformers, network: NodeNetwork, node: String) {
    let services: Reader<Service> = informers.of();
    let slices: Reader<EndpointSlice> = informers.of();
    let cidrs: Reader<ServiceCIDR> = informers.of();
    let changed = Arc::new(Notify::new());
    let (service, slice, cidr) = (changed.clone(), changed.clone(), changed.clone());
    services.on_change(move |_| service.notify_one());
    slices.on_change(move |_| slice.notify_one());
    cidrs.on_change(move |_| cidr.notify_one());
    services.synced().await;
    slices.synced().await;
    cidrs.synced().await;
    let mut known = None;
    loop {
        let prefixes = prefixes(&cidrs.list());
        if known.as_ref() != Some(&prefixes) {
            match network.set_service_cidrs(prefixes.clone()).await {
                Ok(refused) => {
                    for (cidr, why) in refused {
                        tracing::warn!(%cidr, why, "addresses of services that the node itself may not reach");
                    }
                    known = Some(prefixes);
                }
                Err(error) => tracing::warn!(%error, "addresses of services"),
            }
        }
        let desired = desired(&services.list(), &slices.list(), &node);
        if let Err(error) = network.apply_services(desired).await {
            tracing::warn!(%error, "services");
            env.sleep(RETRY_AFTER).await;
            continue;
        }
        tokio::select! {
            () = changed.notified() => {}
            () = env.sleep(RETRY_AFTER), if known.is_none() => {}
        }
        env.sleep(COLLECT).await;
    }
}

/// The prefixes that services have addresses of, whatever becomes of them. Of IPv6 there are none on this network.
fn prefixes(cidrs: &[Arc<ServiceCIDR>]) -> BTreeSet<Cidr> {
    let texts = cidrs.iter().flat_map(|cidr| cidr.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten()));
    texts.filter_map(|text| text.parse().ok()).filter(|cidr: &Cidr| cidr.address().is_ipv4()).collect()
}

/// What the node has to forward. Pure.
pub(crate) fn desired(
    services: &[Arc<Service>],
    slices: &[Arc<EndpointSlice>],
    node: &str,
) -> BTreeMap<ServicePortKey, ServicePort> {
    let mut endpoints: BTreeMap<(&str, &str), Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in slices {
        let service =
            slice.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/service-name"));
        if let (Some(namespace), Some(service)) = (&slice.metadata.namespace, service)
            && slice.address_type == "IPv4"
        {
            endpoints.entry((namespace, service)).or_default().push(slice);
        }
    }
    let mut result = BTreeMap::new();
    for service in services {
        let (Some(namespace), Some(name), Some(spec)) =
            (&service.metadata.namespace, &service.metadata.name, &service.spec)
        else {
            continue;
        };
        let ips: Vec<IpAddr> = spec.cluster_ips.iter().flatten().filter_map(|ip| ip.parse().ok()).collect();
        if ips.is_empty() || spec.type_.as_deref() == Some("ExternalName") {
            continue;
        }
        let slices =
            endpoints.get(&(namespace.as_str(), name.as_str())).map(Vec::as_slice).unwrap_or_default();
        let ingress =
            service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
        let policy = |policy: Option<&str>| {
            if policy == Some("Local") { TrafficPolicy::Local } else { TrafficPolicy::Cluster }
        };
        let affinity = spec.session_affinity.as_deref() == Some("ClientIP");
        for port in spec.ports.iter().flatten() {
            let protocol = protocol(port.protocol.as_deref());
            let port_name = port.name.clone().unwrap_or_default();
            let Ok(number) = u16::try_from(port.port) else { continue };
            result.insert(
                ServicePortKey {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    port: port_name.clone(),
                    protocol,
                },
                ServicePort {
                    cluster_ips: ips.clone(),
                    port: number,
                    node_port: port
                        .node_port
                        .and_then(|port| u16::try_from(port).ok())
                        .filter(|port| *port > 0),
                    external_ips: spec
                        .external_ips
                        .iter()
                        .flatten()
                        .filter_map(|ip| ip.parse().ok())
                        .collect(),
                    load_balancer_ips: ingress
                        .into_iter()
                        .flatten()
                        .filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"))
                        .filter_map(|ingress| ingress.ip.as_ref()?.parse().ok())
                        .collect(),
                    load_balancer_source_ranges: spec
                        .load_balancer_source_ranges
                        .iter()
                        .flatten()
                        .filter_map(|range| range.parse().ok())
                        .collect(),
                    client_ip_affinity: affinity.then(|| {
                        let config = spec
                            .session_affinity_config
                            .as_ref()
                            .and_then(|config| config.client_ip.as_ref());
                        let seconds = config.and_then(|config| config.timeout_seconds).unwrap_or(10_800);
                        Duration::from_secs(seconds.max(1).unsigned_abs().into())
                    }),
                    internal_traffic_policy: policy(spec.internal_traffic_policy.as_deref()),
                    external_traffic_policy: policy(spec.external_traffic_policy.as_deref()),
                    endpoints: slices
                        .iter()
                        .flat_map(|slice| of_port(slice, &port_name, protocol, node))
                        .collect(),
                },
            );
        }
    }
    result
}

fn protocol(name: Option<&str>) -> Protocol {
    match name {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

fn of_port(slice: &EndpointSlice, name: &str, wanted: Protocol, node: &str) -> Vec<Endpoint> {
    let port = slice.ports.iter().flatten().find(|port| {
        port.name.as_deref().unwrap_or_default() == name && protocol(port.protocol.as_deref()) == wanted
    });
    let Some(number) = port.and_then(|port| u16::try_from(port.port?).ok()) else { return Vec::new() };
    slice
        .endpoints
        .iter()
        .flatten()
        .filter_map(|endpoint| {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            let ready = conditions.ready.unwrap_or(true);
            Some(Endpoint {
                ip: endpoint.addresses.first()?.parse().ok()?,
                port: number,
                local: endpoint.node_name.as_deref() == Some(node),
                ready,
                serving: conditions.serving.unwrap_or(ready),
                terminating: conditions.terminating.unwrap_or(false),
            })
        })
        .collect()
}
