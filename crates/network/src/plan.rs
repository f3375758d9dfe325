//! What one port of a service is in the kernel: pure, from its description to set elements and chains.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use cox_sys::netlink::{ElementData, Verdict};

use crate::cidr::v4;
use crate::rules::{self, By, Chain, Path, Prefix};
use crate::{Endpoint, Protocol, Result, ServicePort, TrafficPolicy};

/// An element's set and key.
pub(crate) type Place = (&'static str, Vec<u8>);

/// Everything a service's port puts into the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Elements of this port alone.
    pub elements: BTreeMap<Place, ElementData>,
    /// Elements that several ports may want.
    pub shared: BTreeSet<Place>,
    /// Chains it leads to.
    pub chains: BTreeSet<Chain>,
    /// Its endpoints, sorted.
    pub endpoints: BTreeSet<(Ipv4Addr, u16)>,
}

/// The endpoints a service's port uses, by policy; upstream: `CategorizeEndpoints`.
struct Lists {
    /// For policy Cluster.
    all: Vec<(Ipv4Addr, u16)>,
    /// For policy Local.
    local: Vec<(Ipv4Addr, u16)>,
}

/// Plans the port `service` with the id `id` (even; the next one is its list of local endpoints).
pub(crate) fn plan(service: &ServicePort, protocol: Protocol, id: u32, pods: Prefix) -> Result<Plan> {
    let lists = lists(&service.endpoints)?;
    let mut plan = Plan::default();
    plan_lists(&mut plan, &lists, service, id, pods);

    let (all, local) = (lists.all.len() as u32, lists.local.len() as u32);
    let affinity = service.client_ip_affinity;
    let serve = |by, path| {
        let (all, local) = match path {
            Path::Cluster | Path::External => (all, 0),
            Path::ClusterLocal => (0, local),
            Path::ExternalLocal => (all, local),
        };
        Chain::Serve { by, path, all, local, affinity }
    };
    let (internal, internal_count) = match service.internal_traffic_policy {
        TrafficPolicy::Cluster => (Path::Cluster, all),
        TrafficPolicy::Local => (Path::ClusterLocal, local),
    };
    let (external, external_count) = match service.external_traffic_policy {
        TrafficPolicy::Cluster => (Path::External, all),
        TrafficPolicy::Local => (Path::ExternalLocal, local),
    };
    // Without any endpoint clients are refused; endpoints that the policy leaves out make it silence.
    let nothing = |count: u32| match (count, all + local) {
        (0, 0) => Some(Verdict::Goto(rules::REJECT.into())),
        (0, _) => Some(Verdict::Drop),
        _ => None,
    };

    for ip in &service.cluster_ips {
        let ip = v4(*ip, "spec.clusterIPs")?;
        plan.shared.insert((rules::CLUSTER_IPS, ip.octets().to_vec()));
        let chain = (internal_count > 0).then(|| serve(By::Address, internal));
        plan_address(&mut plan, vip(ip, protocol, service.port), id, chain, nothing(internal_count));
    }
    // From outside a service that has endpoints elsewhere is still served to pods and the node itself.
    let outside = |by| (all + local > 0).then(|| serve(by, external));
    for ip in &service.external_ips {
        let ip = v4(*ip, "spec.externalIPs")?;
        let key = vip(ip, protocol, service.port);
        plan_address(&mut plan, key, id, outside(By::Address), nothing(external_count));
    }
    for ip in &service.load_balancer_ips {
        let ip = v4(*ip, "status.loadBalancer.ingress.ip")?;
        let mut chain = outside(By::Address);
        if !service.load_balancer_source_ranges.is_empty() {
            let mut ranges = Vec::new();
            for range in &service.load_balancer_source_ranges {
                ranges.push(range.v4("spec.loadBalancerSourceRanges")?);
            }
            chain = chain.map(|then| Chain::Firewall { ranges, then: Box::new(then) });
        }
        plan_address(&mut plan, vip(ip, protocol, service.port), id, chain, nothing(external_count));
    }
    if let Some(port) = service.node_port {
        let key = node_port(protocol, port);
        if let Some(chain) = outside(By::NodePort) {
            let verdict = Verdict::Goto(chain.name().into());
            plan.elements.insert((rules::NODE_PORTS, key.clone()), ElementData::Verdict(verdict));
            plan.elements.insert((rules::NODE_PORT_IDS, key.clone()), number(id));
            plan.chains.insert(chain);
        }
        if let Some(verdict) = nothing(external_count) {
            plan.elements.insert((rules::NO_ENDPOINTS_NODE, key), ElementData::Verdict(verdict));
        }
    }
    Ok(plan)
}

/// Whether [`plan`] can serve it.
pub(crate) fn check(service: &ServicePort) -> Result<()> {
    let addresses = [
        ("spec.clusterIPs", &service.cluster_ips),
        ("spec.externalIPs", &service.external_ips),
        ("status.loadBalancer.ingress.ip", &service.load_balancer_ips),
    ];
    for (field, list) in addresses {
        for ip in list {
            v4(*ip, field)?;
        }
    }
    for range in &service.load_balancer_source_ranges {
        range.v4("spec.loadBalancerSourceRanges")?;
    }
    for endpoint in &service.endpoints {
        v4(endpoint.ip, "endpoints.addresses")?;
    }
    Ok(())
}

fn plan_lists(plan: &mut Plan, lists: &Lists, service: &ServicePort, id: u32, pods: Prefix) {
    let uses_local =
        [service.internal_traffic_policy, service.external_traffic_policy].contains(&TrafficPolicy::Local);
    let used = if uses_local { &lists.local[..] } else { &[] };
    for (list, endpoints) in [(id, &lists.all[..]), (id + 1, used)] {
        for (number, (ip, port)) in endpoints.iter().enumerate() {
            let key = [list.to_ne_bytes(), (number as u32).to_ne_bytes()].concat();
            plan.elements.insert((rules::ENDPOINTS, key), ElementData::Value(endpoint(*ip, *port)));
            if service.client_ip_affinity.is_some() {
                let key = [&list.to_ne_bytes()[..], &endpoint(*ip, *port)].concat();
                plan.elements.insert((rules::AFFINE, key), ElementData::None);
            }
            let (address, length) = pods;
            if crate::Cidr::new(address.into(), length).is_some_and(|p| p.contains(IpAddr::V4(*ip))) {
                plan.shared.insert((rules::HAIRPIN, [ip.octets(), ip.octets()].concat()));
            }
            plan.endpoints.insert((*ip, *port));
        }
    }
}

fn plan_address(plan: &mut Plan, key: Vec<u8>, id: u32, chain: Option<Chain>, nothing: Option<Verdict>) {
    if let Some(chain) = chain {
        let verdict = Verdict::Goto(chain.name().into());
        plan.elements.insert((rules::SERVICES, key.clone()), ElementData::Verdict(verdict));
        plan.elements.insert((rules::SERVICE_IDS, key.clone()), number(id));
        plan.chains.insert(chain);
    }
    if let Some(verdict) = nothing {
        plan.elements.insert((rules::NO_ENDPOINTS, key), ElementData::Verdict(verdict));
    }
}

/// Ready endpoints; where there is none, those that still serve while they terminate (KEP-1669).
fn lists(endpoints: &[Endpoint]) -> Result<Lists> {
    let chosen = |local_only: bool| -> Result<Vec<(Ipv4Addr, u16)>> {
        let of = |wanted: fn(&Endpoint) -> bool| -> Result<BTreeSet<(Ipv4Addr, u16)>> {
            endpoints
                .iter()
                .filter(|e| wanted(e) && (e.local || !local_only))
                .map(|e| Ok((v4(e.ip, "endpoints.addresses")?, e.port)))
                .collect()
        };
        let mut found = of(|e| e.ready)?;
        if found.is_empty() {
            found = of(|e| e.serving && e.terminating)?;
        }
        Ok(found.into_iter().collect())
    };
    Ok(Lists { all: chosen(false)?, local: chosen(true)? })
}

/// The key of an address, protocol and port: each field takes four bytes.
pub(crate) fn vip(ip: Ipv4Addr, protocol: Protocol, port: u16) -> Vec<u8> {
    [&ip.octets()[..], &node_port(protocol, port)].concat()
}

/// The key of a protocol and port.
pub(crate) fn node_port(protocol: Protocol, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    vec![protocol.number(), 0, 0, 0, high, low, 0, 0]
}

/// An address and port as data.
pub(crate) fn endpoint(ip: Ipv4Addr, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    [&ip.octets()[..], &[high, low, 0, 0]].concat()
}

fn number(id: u32) -> ElementData {
    ElementData::Value(id.to_ne_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODS: Prefix = (Ipv4Addr::new(10, 42, 0, 0), 24);

    fn service(endpoints: Vec<Endpoint>) -> ServicePort {
        ServicePort {
            cluster_ips: vec!["10.43.0.10".parse().unwrap()],
            port: 80,
            node_port: None,
            external_ips: vec![],
            load_balancer_ips: vec![],
            load_balancer_source_ranges: vec![],
            client_ip_affinity: None,
            internal_traffic_policy: TrafficPolicy::Cluster,
            external_traffic_policy: TrafficPolicy::Cluster,
            endpoints,
        }
    }

    fn ep(ip: &str, local: bool) -> Endpoint {
        Endpoint::ready(ip.parse().unwrap(), 8080, local)
    }

    fn verdict(plan: &Plan, set: &'static str) -> Option<Verdict> {
        plan.elements.iter().find(|((s, _), _)| *s == set).map(|(_, data)| match data {
            ElementData::Verdict(v) => v.clone(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn endpoints_are_numbered_in_order() {
        let p = plan(&service(vec![ep("10.42.1.9", false), ep("10.42.0.9", true)]), Protocol::Tcp, 4, PODS)
            .unwrap();
        assert_eq!(verdict(&p, rules::SERVICES), Some(Verdict::Goto("ip-cluster-2".into())));
        assert_eq!(verdict(&p, rules::NO_ENDPOINTS), None);
        let lists: Vec<_> = p.elements.iter().filter(|((s, _), _)| *s == rules::ENDPOINTS).collect();
        assert_eq!(lists.len(), 2);
        assert_eq!(lists[0].0.1, [4u32.to_ne_bytes(), 0u32.to_ne_bytes()].concat());
        assert_eq!(*lists[0].1, ElementData::Value(endpoint("10.42.0.9".parse().unwrap(), 8080)));
        // Only the pod of this node can meet itself.
        assert_eq!(p.shared.iter().filter(|(s, _)| *s == rules::HAIRPIN).count(), 1);
    }

    #[test]
    fn no_endpoint_refuses_and_none_here_is_silent() {
        let p = plan(&service(vec![]), Protocol::Tcp, 0, PODS).unwrap();
        assert_eq!(verdict(&p, rules::NO_ENDPOINTS), Some(Verdict::Goto("reject".into())));
        assert_eq!(verdict(&p, rules::SERVICES), None);

        let mut far = service(vec![ep("10.42.1.9", false)]);
        far.internal_traffic_policy = TrafficPolicy::Local;
        let p = plan(&far, Protocol::Tcp, 0, PODS).unwrap();
        assert_eq!(verdict(&p, rules::NO_ENDPOINTS), Some(Verdict::Drop));
        assert_eq!(verdict(&p, rules::SERVICES), None);
    }

    #[test]
    fn external_local_without_local_endpoints_still_serves_pods() {
        let mut far = service(vec![ep("10.42.1.9", false)]);
        far.external_traffic_policy = TrafficPolicy::Local;
        far.node_port = Some(30_080);
        let p = plan(&far, Protocol::Tcp, 0, PODS).unwrap();
        assert_eq!(verdict(&p, rules::NODE_PORTS), Some(Verdict::Goto("port-external-local-1-0".into())));
        assert_eq!(verdict(&p, rules::NO_ENDPOINTS_NODE), Some(Verdict::Drop));
        let chain = p.chains.iter().find(|c| c.name().starts_with("port")).unwrap();
        let next: Vec<_> = chain.leads_to().iter().map(Chain::name).collect();
        assert_eq!(next, ["port-cluster-1", "port-external-1"]);
    }

    #[test]
    fn terminating_endpoints_serve_when_none_is_ready() {
        let mut leaving = ep("10.42.0.9", true);
        (leaving.ready, leaving.terminating) = (false, true);
        let alone = plan(&service(vec![leaving]), Protocol::Tcp, 0, PODS).unwrap();
        assert_eq!(alone.endpoints.len(), 1);
        let p = plan(&service(vec![leaving, ep("10.42.0.8", true)]), Protocol::Tcp, 0, PODS).unwrap();
        assert_eq!(p.endpoints.into_iter().collect::<Vec<_>>(), [("10.42.0.8".parse().unwrap(), 8080)]);
    }

    #[test]
    fn ipv6_is_refused_by_field() {
        let mut six = service(vec![]);
        six.cluster_ips = vec!["fd00::1".parse().unwrap()];
        let error = check(&six).unwrap_err().to_string();
        assert_eq!(error, "spec.clusterIPs: IPv6 is not supported yet (got fd00::1)");
        assert!(plan(&six, Protocol::Tcp, 0, PODS).is_err());
    }
}
