//! What policies mean for the pods of a node. Pure.
//! Source: <https://kubernetes.io/docs/concepts/services-networking/network-policies/>

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use cox_client::{Labels, Selector};
use cox_network::{Allow, Cidr, Peer, Policies, Ports, Protocol};
use k8s_openapi::api::core::v1::{Container, Namespace, Pod};
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::pod::spec;

type Pods<'a> = BTreeMap<&'a str, Vec<&'a Pod>>;

/// What is known of the cluster.
struct Cluster<'a> {
    namespaces: Vec<(&'a str, &'a Option<Labels>)>,
    /// Pods that others can meet, by namespace.
    peers: Pods<'a>,
}

/// One direction of a rule: its peers and its ports.
struct Rule<'a> {
    /// How its named ports are called.
    name: String,
    peers: &'a [NetworkPolicyPeer],
    ports: &'a [NetworkPolicyPort],
}

/// A port of a rule.
enum Port {
    /// As numbers.
    Numbers(Ports),
    /// By the name that pods give it.
    Named(Protocol, String),
}

/// What of a pod a plan depends on.
pub(super) fn relevant(pod: &Pod) -> impl PartialEq + use<> {
    let spec = spec::spec(pod);
    (
        (pod.metadata.uid.clone(), pod.metadata.labels.clone(), spec.node_name.clone()),
        (meets(pod), addresses(pod)),
    )
}

/// What the network of `node` has to enforce.
pub(super) fn plan(
    policies: &[Arc<NetworkPolicy>],
    pods: &[Arc<Pod>],
    namespaces: &[Arc<Namespace>],
    node: &str,
) -> Policies {
    let mut peers = Pods::new();
    let mut own = Pods::new();
    for pod in pods.iter().map(Arc::as_ref) {
        // A pod of the node's network is the node to others, and not subject to policies.
        if spec::spec(pod).host_network == Some(true) {
            continue;
        }
        if meets(pod) {
            peers.entry(spec::namespace(pod)).or_default().push(pod);
        }
        if spec::spec(pod).node_name.as_deref() == Some(node) {
            own.entry(spec::namespace(pod)).or_default().push(pod);
        }
    }
    let namespaces = namespaces
        .iter()
        .map(|each| (each.metadata.name.as_deref().unwrap_or_default(), &each.metadata.labels))
        .collect();
    let cluster = Cluster { namespaces, peers };
    let mut planned = Policies::default();
    for policy in policies {
        let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
        let selected: Vec<&Pod> = own
            .get(namespace)
            .into_iter()
            .flatten()
            .copied()
            .filter(|pod| super::selects(policy, pod))
            .collect();
        if !selected.is_empty() {
            enforce(policy, namespace, &selected, &cluster, &mut planned);
        }
    }
    planned
}

/// Adds what a policy says of pods of this node.
fn enforce(
    policy: &NetworkPolicy,
    namespace: &str,
    selected: &[&Pod],
    cluster: &Cluster<'_>,
    planned: &mut Policies,
) {
    let Some(spec) = &policy.spec else { return };
    let name = policy.metadata.name.as_deref().unwrap_or_default();
    let types = spec.policy_types.as_deref().unwrap_or_default();
    if types.iter().any(|word| word == "Ingress") {
        let rules = spec.ingress.iter().flatten().enumerate().map(|(at, rule)| Rule {
            name: format!("{namespace}/{name} ingress {at}"),
            peers: rule.from.as_deref().unwrap_or_default(),
            ports: rule.ports.as_deref().unwrap_or_default(),
        });
        let rules: Vec<_> =
            rules.map(|rule| (rule.peers(namespace, cluster, planned), rule.ports())).collect();
        for pod in selected {
            let allowed =
                planned.pods.entry(spec::uid(pod).to_owned()).or_default().ingress.get_or_insert_default();
            for (peers, ports) in &rules {
                // The port is the pod's own: names are its own as well.
                let ports: Vec<Ports> = ports.iter().flat_map(|port| port.of(pod)).collect();
                allowed.extend(product(peers, &ports));
            }
        }
    }
    if types.iter().any(|word| word == "Egress") {
        let mut allowed = BTreeSet::new();
        for (at, rule) in spec.egress.iter().flatten().enumerate() {
            let rule = Rule {
                name: format!("{namespace}/{name} egress {at}"),
                peers: rule.to.as_deref().unwrap_or_default(),
                ports: rule.ports.as_deref().unwrap_or_default(),
            };
            let peers = rule.peers(namespace, cluster, planned);
            let ports = rule.ports();
            let numbers: Vec<Ports> = ports.iter().filter_map(Port::numbers).collect();
            allowed.extend(product(&peers, &numbers));
            for (at, port) in ports.iter().enumerate() {
                let Port::Named(protocol, wanted) = port else { continue };
                let endpoints = cluster.endpoints(&peers, planned, *protocol, wanted);
                let name = format!("{} port {at}", rule.name);
                allowed.insert(Allow::Endpoints(name.clone()));
                planned.endpoints.insert(name, endpoints);
            }
        }
        for pod in selected {
            let policy = planned.pods.entry(spec::uid(pod).to_owned()).or_default();
            policy.egress.get_or_insert_default().extend(allowed.iter().cloned());
        }
    }
}

fn product(peers: &[Peer], ports: &[Ports]) -> impl Iterator<Item = Allow> {
    peers
        .iter()
        .flat_map(|peer| ports.iter().map(|ports| Allow::Connections { peer: peer.clone(), ports: *ports }))
}

// === impl Rule ===

impl Rule<'_> {
    /// The peers, their members among the groups; a rule without peers is for everyone.
    fn peers(&self, namespace: &str, cluster: &Cluster<'_>, planned: &mut Policies) -> Vec<Peer> {
        if self.peers.is_empty() {
            return vec![Peer::Anyone];
        }
        let of = |peer: &NetworkPolicyPeer| match &peer.ip_block {
            Some(of) => block(of),
            None => {
                // Named after what it means, so that many rules of the same peers are one group.
                let name = group_name(peer, namespace);
                if !planned.peers.contains_key(&name) {
                    let members = cluster.members(peer, namespace);
                    planned.peers.insert(name.clone(), members.into_iter().flat_map(addresses).collect());
                }
                Some(Peer::Group(name))
            }
        };
        self.peers.iter().filter_map(of).collect()
    }

    /// The ports; a rule without ports is for everything.
    fn ports(&self) -> Vec<Port> {
        if self.ports.is_empty() {
            return vec![Port::Numbers(Ports::All)];
        }
        self.ports.iter().filter_map(port).collect()
    }
}

fn port(port: &NetworkPolicyPort) -> Option<Port> {
    let protocol = protocol(port.protocol.as_deref());
    Some(match &port.port {
        None => Port::Numbers(Ports::Protocol(protocol)),
        Some(IntOrString::String(name)) => Port::Named(protocol, name.clone()),
        Some(IntOrString::Int(first)) => {
            let last = port.end_port.unwrap_or(*first);
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(last).ok()?);
            Port::Numbers(Ports::Range { protocol, first, last })
        }
    })
}

/// A name that tells whom selectors mean.
fn group_name(peer: &NetworkPolicyPeer, namespace: &str) -> String {
    let pods = Selector::of(Some(&peer.pod_selector.clone().unwrap_or_default()));
    match &peer.namespace_selector {
        None => format!("{namespace} {pods:?}"),
        Some(namespaces) => format!("{:?} {pods:?}", Selector::of(Some(namespaces))),
    }
}

fn block(block: &IPBlock) -> Option<Peer> {
    let cidr: Cidr = block.cidr.parse().ok()?;
    // An exception that can't be read would open what it closes.
    let except = block.except.iter().flatten().map(|text| text.parse()).collect::<Result<_, _>>().ok()?;
    Some(Peer::Block { cidr, except })
}

fn protocol(name: Option<&str>) -> Protocol {
    match name {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

// === impl Port ===

impl Port {
    fn numbers(&self) -> Option<Ports> {
        match self {
            Port::Numbers(ports) => Some(*ports),
            Port::Named(..) => None,
        }
    }

    /// The numbers that it has at a pod; none where the pod has no port of the name.
    fn of(&self, pod: &Pod) -> Vec<Ports> {
        match self {
            Port::Numbers(ports) => vec![*ports],
            Port::Named(protocol, name) => named(pod, *protocol, name)
                .map(|port| Ports::Range { protocol: *protocol, first: port, last: port })
                .collect(),
        }
    }
}

/// The ports of a pod with this name.
fn named<'a>(pod: &'a Pod, wanted: Protocol, name: &'a str) -> impl Iterator<Item = u16> + 'a {
    let sidecars = spec::inits(pod).iter().filter(|init| spec::is_sidecar(init));
    let ports = |container: &'a Container| container.ports.iter().flatten();
    sidecars.chain(spec::mains(pod)).flat_map(ports).filter_map(move |port| {
        let fits = port.name.as_deref() == Some(name) && protocol(port.protocol.as_deref()) == wanted;
        fits.then(|| u16::try_from(port.container_port).ok()).flatten()
    })
}

// === impl Cluster ===

impl Cluster<'_> {
    /// The pods that a peer with selectors means.
    fn members(&self, peer: &NetworkPolicyPeer, namespace: &str) -> Vec<&Pod> {
        let names: Vec<&str> = match &peer.namespace_selector {
            None => vec![namespace],
            Some(selector) => {
                let selector = Selector::of(Some(selector));
                let matching = self.namespaces.iter().filter(|(_, labels)| selector.matches(*labels));
                matching.map(|(name, _)| *name).collect()
            }
        };
        let selector = Selector::of(Some(&peer.pod_selector.clone().unwrap_or_default()));
        let pods = names.into_iter().filter_map(|name| self.peers.get(name)).flatten();
        pods.copied().filter(|pod| selector.matches(&pod.metadata.labels)).collect()
    }

    /// The ports of this name that pods among the peers have.
    fn endpoints(
        &self,
        peers: &[Peer],
        planned: &Policies,
        protocol: Protocol,
        name: &str,
    ) -> BTreeSet<(IpAddr, Protocol, u16)> {
        let meant = |ip: &IpAddr| {
            peers.iter().any(|peer| match peer {
                Peer::Anyone => true,
                Peer::Group(name) => planned.peers.get(name).is_some_and(|members| members.contains(ip)),
                Peer::Block { cidr, except } => {
                    cidr.contains(*ip) && !except.iter().any(|hole| hole.contains(*ip))
                }
            })
        };
        let pods = self.peers.values().flatten();
        pods.flat_map(|pod| {
            let ips = addresses(pod).into_iter().filter(meant);
            ips.flat_map(|ip| named(pod, protocol, name).map(move |port| (ip, protocol, port)))
        })
        .collect()
    }
}

/// Whether others can meet the pod: its address is its own, and not yet somebody else's.
fn meets(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    spec::spec(pod).host_network != Some(true) && !matches!(phase, Some("Succeeded" | "Failed"))
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let ips = status.pod_ips.iter().flatten().map(|ip| &ip.ip);
    ips.chain(&status.pod_ip).filter_map(|ip| ip.parse().ok()).collect::<BTreeSet<_>>().into_iter().collect()
}
