//! The nftables table of a node: its sets and the rules that use them.
//!
//! Services are set elements, not chains: the first lookup leads an address and port to one of a few chains
//! (by number of endpoints and traffic policy), whose single rule finds the service's id, draws a number and
//! looks up the endpoint of that number. So a change of endpoints is a change of a few elements, whatever the
//! number of services, and loading thousands of services is one message after another of elements.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::time::Duration;

use cox_sys::netlink::{
    Base, BaseChain, Ct, Expr, FibAddress, FieldType, Hook, Meta, Reg, Set, SetData, Transaction, Verdict,
};

use crate::cidr::mask_v4;

/// Kept with the table: another process only goes on with a table of the layout it knows.
pub(crate) const LAYOUT: &[u8] = b"cox 2\0";

/// Marks connections that leave with the node's address; the bit kube-proxy uses.
const MASQUERADE_BIT: u32 = 0x4000;
/// `IPS_DST_NAT`.
const STATUS_DNAT: u32 = 1 << 5;
/// State bit of a connection's first packet.
const STATE_NEW: u32 = 1 << 3;
/// `RTN_LOCAL`.
const ADDRESS_LOCAL: u32 = 2;
/// The index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;
/// Clients remembered for session affinity on one node.
const AFFINITY_CLIENTS_MAX: u32 = 65_536;

const VIP: &[FieldType] = &[FieldType::Ipv4, FieldType::Protocol, FieldType::Port];
const NODE_PORT: &[FieldType] = &[FieldType::Protocol, FieldType::Port];
const ENDPOINT: SetData = SetData::Fields(&[FieldType::Ipv4, FieldType::Port]);

/// Address, protocol, port of a service -> the chain that serves it.
pub(crate) const SERVICES: &str = "services";
/// The same key -> the service's id.
pub(crate) const SERVICE_IDS: &str = "service-ids";
/// Protocol, port of the node -> the chain that serves it.
pub(crate) const NODE_PORTS: &str = "node-ports";
/// The same key -> the service's id.
pub(crate) const NODE_PORT_IDS: &str = "node-port-ids";
/// Id of a list, number in it -> address and port of an endpoint.
pub(crate) const ENDPOINTS: &str = "endpoints";
/// Id of a list, address, port: endpoints that remembered clients may go back to.
pub(crate) const AFFINE: &str = "affine-endpoints";
/// Id of a list, client -> the endpoint it went to.
const AFFINITY: &str = "affinity";
/// Address, protocol, port of a service that has no endpoints -> what happens to its clients.
pub(crate) const NO_ENDPOINTS: &str = "no-endpoints";
/// Protocol, port of the node of a service that has no endpoints.
pub(crate) const NO_ENDPOINTS_NODE: &str = "no-endpoints-node";
/// Cluster IPs in use.
pub(crate) const CLUSTER_IPS: &str = "cluster-ips";
/// Pods that can meet themselves behind a service: address twice.
pub(crate) const HAIRPIN: &str = "hairpin";
/// Pods that can meet themselves behind a host port.
pub(crate) const HAIRPIN_HOST_PORTS: &str = "hairpin-host-ports";
/// Protocol, port of the node -> address and port of a pod.
pub(crate) const HOST_PORTS: &str = "host-ports";
/// Address, protocol, port of the node -> address and port of a pod.
pub(crate) const HOST_IP_PORTS: &str = "host-ip-ports";
/// The chain that refuses.
pub(crate) const REJECT: &str = "reject";
/// Where connections to cluster IPs end that no service has.
const UNASSIGNED: &str = "unassigned";
const DISPATCH: &str = "dispatch";
const OPEN_HOST_PORTS: &str = "open-host-ports";

const SETS: &[Set] = &[
    Set { name: SERVICES, key: VIP, data: SetData::Verdict, dynamic: None },
    Set { name: SERVICE_IDS, key: VIP, data: SetData::Fields(&[FieldType::Mark]), dynamic: None },
    Set { name: NODE_PORTS, key: NODE_PORT, data: SetData::Verdict, dynamic: None },
    Set { name: NODE_PORT_IDS, key: NODE_PORT, data: SetData::Fields(&[FieldType::Mark]), dynamic: None },
    Set { name: ENDPOINTS, key: &[FieldType::Mark, FieldType::Mark], data: ENDPOINT, dynamic: None },
    Set {
        name: AFFINE,
        key: &[FieldType::Mark, FieldType::Ipv4, FieldType::Port],
        data: SetData::None,
        dynamic: None,
    },
    Set {
        name: AFFINITY,
        key: &[FieldType::Mark, FieldType::Ipv4],
        data: ENDPOINT,
        dynamic: Some(AFFINITY_CLIENTS_MAX),
    },
    Set { name: NO_ENDPOINTS, key: VIP, data: SetData::Verdict, dynamic: None },
    Set { name: NO_ENDPOINTS_NODE, key: NODE_PORT, data: SetData::Verdict, dynamic: None },
    Set { name: CLUSTER_IPS, key: &[FieldType::Ipv4], data: SetData::None, dynamic: None },
    Set { name: HAIRPIN, key: &[FieldType::Ipv4, FieldType::Ipv4], data: SetData::None, dynamic: None },
    Set {
        name: HAIRPIN_HOST_PORTS,
        key: &[FieldType::Ipv4, FieldType::Ipv4],
        data: SetData::None,
        dynamic: None,
    },
    Set { name: HOST_PORTS, key: NODE_PORT, data: ENDPOINT, dynamic: None },
    Set { name: HOST_IP_PORTS, key: VIP, data: ENDPOINT, dynamic: None },
];

/// An IPv4 prefix.
pub(crate) type Prefix = (Ipv4Addr, u8);

/// The prefixes the rules of a node speak of.
#[derive(Clone, Debug)]
pub(crate) struct Prefixes {
    pub pods: Prefix,
    pub cluster: Prefix,
    /// Out of which cluster IPs come.
    pub services: Vec<Prefix>,
}

/// How a packet named the service: the sets differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    Address,
    NodePort,
}

/// From where and by which policy a service is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Path {
    /// By its cluster IP, any endpoint.
    Cluster,
    /// By its cluster IP, endpoints of this node.
    ClusterLocal,
    /// From outside, any endpoint.
    External,
    /// From outside, endpoints of this node; pods and the node itself go to any endpoint.
    ExternalLocal,
}

/// A chain that serves every service of these properties.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chain {
    /// To one of so many endpoints.
    Serve {
        by: By,
        path: Path,
        /// Endpoints anywhere.
        all: u32,
        /// Endpoints on this node.
        local: u32,
        affinity: Option<Duration>,
    },
    /// Only clients of these prefixes go on.
    Firewall { ranges: Vec<Prefix>, then: Box<Chain> },
}

// === impl Chain ===

impl Chain {
    /// A name that tells everything the rules depend on.
    pub(crate) fn name(&self) -> String {
        match self {
            Chain::Serve { by, path, all, local, affinity } => {
                let by = match by {
                    By::Address => "ip",
                    By::NodePort => "port",
                };
                let lists = match path {
                    Path::Cluster => format!("cluster-{all}"),
                    Path::ClusterLocal => format!("cluster-local-{local}"),
                    Path::External => format!("external-{all}"),
                    Path::ExternalLocal => format!("external-local-{all}-{local}"),
                };
                let affinity = affinity.map_or(String::new(), |a| format!("-affinity-{}", a.as_secs()));
                format!("{by}-{lists}{affinity}")
            }
            Chain::Firewall { ranges, then } => {
                let ranges: Vec<String> = ranges.iter().map(|(a, l)| format!("{a}/{l}")).collect();
                let mut name = format!("fw-{}", then.name());
                // A chain's name has at most 127 characters, a list of prefixes can be longer.
                let id = crate::NetId::derive(&format!("{ranges:?}"));
                name.push('-');
                name.push_str(id.as_str());
                name
            }
        }
    }

    /// The chains this one goes on to.
    pub(crate) fn leads_to(&self) -> Vec<Chain> {
        match self {
            Chain::Serve { by, path: Path::ExternalLocal, all, affinity, .. } if *all > 0 => {
                [Path::Cluster, Path::External]
                    .map(|path| Chain::Serve { by: *by, path, all: *all, local: 0, affinity: *affinity })
                    .to_vec()
            }
            Chain::Serve { .. } => Vec::new(),
            Chain::Firewall { then, .. } => vec![(**then).clone()],
        }
    }

    /// Its rules.
    pub(crate) fn rules(&self, prefixes: &Prefixes) -> Vec<Vec<Expr>> {
        match self {
            Chain::Serve { by, path, all, local, affinity } => {
                let mut rules = Vec::new();
                match path {
                    Path::Cluster | Path::ClusterLocal => {
                        rules.push(cat([from(prefixes.cluster, false), mark()]));
                    }
                    Path::External => rules.push(mark()),
                    Path::ExternalLocal => {
                        if let [cluster, external] = &self.leads_to()[..] {
                            rules.push(cat([from(prefixes.cluster, true), goto(cluster.name())]));
                            rules.push(cat([
                                vec![Expr::AddressType { to: 0, of: FibAddress::Source }],
                                vec![compare(0, true, ADDRESS_LOCAL)],
                                goto(external.name()),
                            ]));
                        }
                    }
                }
                let (count, on_node) = match path {
                    Path::Cluster | Path::External => (*all, false),
                    Path::ClusterLocal | Path::ExternalLocal => (*local, true),
                };
                if count > 0 {
                    pick(*by, count, on_node, *affinity, &mut rules);
                }
                rules
            }
            Chain::Firewall { ranges, then } => {
                let mut rules: Vec<_> =
                    ranges.iter().map(|range| cat([from(*range, true), goto(then.name())])).collect();
                rules.push(vec![Expr::Verdict(Verdict::Drop)]);
                rules
            }
        }
    }
}

/// Rules that translate the destination to one of `count` endpoints.
fn pick(by: By, count: u32, on_node: bool, affinity: Option<Duration>, rules: &mut Vec<Vec<Expr>>) {
    // Registers 0-2: the key. 4-5: list and client. 7-9: list, then number or address and port.
    let (key, ids) = match by {
        By::Address => (vip_key(0), SERVICE_IDS),
        By::NodePort => (node_port_key(0), NODE_PORT_IDS),
    };
    let list = |to: Reg| {
        let mut load = vec![Expr::Map { key: 0, map: ids, to }];
        if on_node {
            // A service's list of this node's endpoints has the id after that of all its endpoints.
            load.push(Expr::Bitwise { from: to, to, mask: vec![0xff; 4], xor: 1u32.to_ne_bytes().to_vec() });
        }
        load
    };
    let draw = if count == 1 {
        vec![Expr::Load { to: 8, value: vec![0; 4] }]
    } else {
        vec![Expr::Random { to: 8, below: count }]
    };
    let endpoint = vec![Expr::Map { key: 7, map: ENDPOINTS, to: 8 }];
    let dnat = vec![Expr::Dnat { address: 8, port: 9 }];
    let any = cat([key.clone(), list(7), draw.clone(), endpoint.clone(), dnat.clone()]);
    let Some(timeout) = affinity else {
        rules.push(any);
        return;
    };
    let client = vec![Expr::Payload { to: 5, base: Base::Network, offset: 12, length: 4 }];
    let remember = vec![Expr::Update { map: AFFINITY, key: 4, data: 8, timeout }];
    rules.push(cat([
        key.clone(),
        list(4),
        list(7),
        client.clone(),
        vec![
            Expr::Map { key: 4, map: AFFINITY, to: 8 },
            // The endpoint it went to may be gone.
            Expr::InSet { key: 7, set: AFFINE, inverted: false },
        ],
        remember.clone(),
        dnat.clone(),
    ]));
    let forget = vec![Expr::Forget { map: AFFINITY, key: 4, data: 8 }];
    rules.push(cat([key, list(4), list(7), client, draw, endpoint, forget, remember, dnat]));
    // No room to remember one more client is no reason not to serve it.
    rules.push(any);
}

/// Writes the whole table without elements and without the chains of [`Chain`]. What was in a table of that
/// name is gone.
pub(crate) fn write_table(transaction: &mut Transaction, prefixes: &Prefixes) {
    // Deleting needs a table to be there.
    transaction.add_table(&[]);
    transaction.del_table();
    transaction.add_table(LAYOUT);
    for set in SETS {
        transaction.add_set(set);
    }
    for (name, base) in BASE_CHAINS {
        transaction.add_chain(name, Some(*base));
    }
    for name in [DISPATCH, OPEN_HOST_PORTS, REJECT, UNASSIGNED] {
        transaction.add_chain(name, None);
    }
    for (chain, rule) in base_rules(prefixes) {
        transaction.add_rule(chain, &rule);
    }
    write_unassigned(transaction, prefixes);
}

/// Writes what happens to connections to cluster IPs that no service has: they lead nowhere.
pub(crate) fn write_unassigned(transaction: &mut Transaction, prefixes: &Prefixes) {
    transaction.flush_chain(UNASSIGNED);
    for prefix in &prefixes.services {
        transaction
            .add_rule(UNASSIGNED, &cat([new(), to(*prefix, true), vec![Expr::Verdict(Verdict::Drop)]]));
    }
}

/// Writes the table of a fabric: what comes from a node leaves the machine with the machine's address.
pub(crate) fn write_fabric_table(transaction: &mut Transaction, subnet: Prefix, cluster: Prefix) {
    transaction.add_table(&[]);
    transaction.del_table();
    transaction.add_table(LAYOUT);
    transaction.add_chain("nat-postrouting", Some(base("nat", Hook::Postrouting, 100)));
    let rule = cat([from(subnet, true), to(subnet, false), to(cluster, false), vec![Expr::Masquerade]]);
    transaction.add_rule("nat-postrouting", &rule);
}

pub(crate) const fn base(kind: &'static str, hook: Hook, priority: i32) -> BaseChain {
    BaseChain { kind, hook, priority }
}

const BASE_CHAINS: &[(&str, BaseChain)] = &[
    ("raw-prerouting", base("filter", Hook::Prerouting, -300)),
    ("nat-prerouting", base("nat", Hook::Prerouting, -100)),
    ("nat-output", base("nat", Hook::Output, -100)),
    ("nat-postrouting", base("nat", Hook::Postrouting, 100)),
    ("filter-input", base("filter", Hook::Input, 0)),
    ("filter-forward", base("filter", Hook::Forward, 0)),
    // After nat-output, which has led away what has endpoints.
    ("filter-output", base("filter", Hook::Output, 0)),
];

fn base_rules(prefixes: &Prefixes) -> Vec<(&'static str, Vec<Expr>)> {
    let loopback: Prefix = (Ipv4Addr::new(127, 0, 0, 0), 8);
    let foreign = || vec![Expr::Meta { to: 0, key: Meta::InInterface }, compare(0, false, LOOPBACK)];
    let drop = || vec![Expr::Verdict(Verdict::Drop)];
    let to_node =
        || vec![Expr::AddressType { to: 0, of: FibAddress::Destination }, compare(0, true, ADDRESS_LOCAL)];
    let verdict = |map| vec![Expr::VerdictMap { key: 0, map }];
    let dnat = |map| vec![Expr::Map { key: 0, map, to: 4 }, Expr::Dnat { address: 4, port: 5 }];
    let jump = |chain: &'static str| vec![Expr::Verdict(Verdict::Jump(chain.into()))];
    let within = |set| vec![Expr::InSet { key: 0, set, inverted: false }];
    let masquerade = || vec![Expr::Masquerade];

    let mut rules = vec![
        // Pod interfaces accept loopback addresses (`route_localnet`) so that host ports work on 127.0.0.1;
        // what comes in from outside must not use that.
        ("raw-prerouting", cat([foreign(), to(loopback, true), drop()])),
        ("raw-prerouting", cat([foreign(), from(loopback, true), drop()])),
        ("nat-prerouting", jump(DISPATCH)),
        ("nat-output", jump(DISPATCH)),
        (DISPATCH, cat([vip_key(0), verdict(SERVICES)])),
        (DISPATCH, cat([to_node(), node_port_key(0), verdict(NODE_PORTS)])),
        (DISPATCH, cat([to_node(), jump(OPEN_HOST_PORTS)])),
        (OPEN_HOST_PORTS, cat([from(loopback, true), mark()])),
        (OPEN_HOST_PORTS, cat([vip_key(0), dnat(HOST_IP_PORTS)])),
        (OPEN_HOST_PORTS, cat([node_port_key(0), dnat(HOST_PORTS)])),
        ("nat-postrouting", cat([twice(), within(HAIRPIN), masquerade()])),
        ("nat-postrouting", cat([twice(), within(HAIRPIN_HOST_PORTS), masquerade()])),
        (
            "nat-postrouting",
            cat([
                vec![Expr::Meta { to: 0, key: Meta::Mark }],
                bit_set(0, MASQUERADE_BIT),
                vec![Expr::Ct { to: 0, key: Ct::Status }],
                bit_set(0, STATUS_DNAT),
                masquerade(),
            ]),
        ),
        // Pods leave the cluster with the node's address.
        (
            "nat-postrouting",
            cat([
                from(prefixes.pods, true),
                to(prefixes.cluster, false),
                vec![Expr::Meta { to: 0, key: Meta::OutInterface }, compare(0, false, LOOPBACK)],
                masquerade(),
            ]),
        ),
        (REJECT, vec![Expr::Reject]),
        ("filter-input", cat([new(), vip_key(0), verdict(NO_ENDPOINTS)])),
        ("filter-input", cat([new(), to_node(), node_port_key(0), verdict(NO_ENDPOINTS_NODE)])),
    ];
    for chain in ["filter-forward", "filter-output"] {
        rules.push((chain, cat([new(), vip_key(0), verdict(NO_ENDPOINTS)])));
        // A port that a cluster IP doesn't have is refused, an address that no service has leads nowhere.
        let address = || vec![Expr::Payload { to: 0, base: Base::Network, offset: 16, length: 4 }];
        rules.push((chain, cat([new(), address(), within(CLUSTER_IPS), vec![Expr::Reject]])));
        rules.push((chain, jump(UNASSIGNED)));
    }
    rules
}

/// The first packet of a connection.
fn new() -> Vec<Expr> {
    cat([vec![Expr::Ct { to: 0, key: Ct::State }], bit_set(0, STATE_NEW)])
}

/// Loads source and destination address.
pub(crate) fn twice() -> Vec<Expr> {
    vec![
        Expr::Payload { to: 0, base: Base::Network, offset: 12, length: 4 },
        Expr::Payload { to: 1, base: Base::Network, offset: 16, length: 4 },
    ]
}

/// Loads destination address, protocol and destination port.
fn vip_key(to: Reg) -> Vec<Expr> {
    let mut key = vec![Expr::Payload { to, base: Base::Network, offset: 16, length: 4 }];
    key.extend(node_port_key(to + 1));
    key
}

/// Loads protocol and destination port.
fn node_port_key(to: Reg) -> Vec<Expr> {
    vec![
        Expr::Meta { to, key: Meta::Protocol },
        Expr::Payload { to: to + 1, base: Base::Transport, offset: 2, length: 2 },
    ]
}

fn from(prefix: Prefix, inside: bool) -> Vec<Expr> {
    address_in(12, prefix, inside)
}

fn to(prefix: Prefix, inside: bool) -> Vec<Expr> {
    address_in(16, prefix, inside)
}

pub(crate) fn address_in(offset: u32, (address, length): Prefix, inside: bool) -> Vec<Expr> {
    let mask = mask_v4(length).to_be_bytes().to_vec();
    vec![
        Expr::Payload { to: 0, base: Base::Network, offset, length: 4 },
        Expr::Bitwise { from: 0, to: 0, mask, xor: vec![0; 4] },
        Expr::Compare { register: 0, equal: inside, value: address.octets().to_vec() },
    ]
}

/// Has the connection leave with the node's address.
fn mark() -> Vec<Expr> {
    vec![
        Expr::Meta { to: 0, key: Meta::Mark },
        Expr::Bitwise {
            from: 0,
            to: 0,
            mask: (!MASQUERADE_BIT).to_ne_bytes().to_vec(),
            xor: MASQUERADE_BIT.to_ne_bytes().to_vec(),
        },
        Expr::SetMark { from: 0 },
    ]
}

pub(crate) fn bit_set(register: Reg, bit: u32) -> Vec<Expr> {
    let mask = bit.to_ne_bytes().to_vec();
    vec![Expr::Bitwise { from: register, to: register, mask, xor: vec![0; 4] }, compare(register, false, 0)]
}

fn compare(register: Reg, equal: bool, value: u32) -> Expr {
    Expr::Compare { register, equal, value: value.to_ne_bytes().to_vec() }
}

fn goto(chain: String) -> Vec<Expr> {
    vec![Expr::Verdict(Verdict::Goto(Cow::Owned(chain)))]
}

pub(crate) fn cat<const N: usize>(parts: [Vec<Expr>; N]) -> Vec<Expr> {
    parts.into_iter().flatten().collect()
}
