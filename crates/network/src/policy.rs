//! What a node has to know of NetworkPolicies to enforce them: plain values, already resolved to addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::{Cidr, Protocol};

/// The policies of a node's pods. Addresses and blocks of IPv6 match nothing: this network carries none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Sets of peers. A name that stays the same while members change makes the change a small one.
    pub peers: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Sets of ports of peers, as named ports have them.
    pub endpoints: BTreeMap<String, BTreeSet<(IpAddr, Protocol, u16)>>,
    /// The pods that are subject to policies, by owner ([`crate::AttachRequest::owner`]). They may be attached or
    /// not: what is said of a pod is in force before its network is handed out.
    pub pods: BTreeMap<String, PodPolicy>,
}

/// What a pod may do in each direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodPolicy {
    /// Who may connect to the pod; none where it isn't isolated for ingress.
    pub ingress: Option<BTreeSet<Allow>>,
    /// Where the pod may connect to; none where it isn't isolated for egress.
    pub egress: Option<BTreeSet<Allow>>,
}

/// What an isolated pod is allowed. Ports are always those that are connected to: the pod's for ingress, the peer's
/// for egress.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allow {
    /// Any of these peers with any of these ports.
    Connections {
        /// The other side.
        peer: Peer,
        /// The ports.
        ports: Ports,
    },
    /// One of [`Policies::endpoints`], by name.
    Endpoints(String),
}

/// The other side of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Whoever it is.
    Anyone,
    /// One of [`Policies::peers`], by name.
    Group(String),
    /// The addresses of a block, but those of smaller blocks within.
    Block {
        /// The block.
        cidr: Cidr,
        /// What is not meant.
        except: BTreeSet<Cidr>,
    },
}

/// What is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ports {
    /// Everything, also what has no ports (ICMP).
    All,
    /// Every port of a protocol.
    Protocol(Protocol),
    /// These ports.
    Range {
        /// Their protocol.
        protocol: Protocol,
        /// The first,
        first: u16,
        /// and the last.
        last: u16,
    },
}

/// What an [`crate::NodeNetwork::apply_policies`] did to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoliciesApplied {
    /// Set elements written or deleted.
    pub elements: usize,
    /// Chains written or deleted.
    pub chains: usize,
    /// Whether the whole table was written anew.
    pub full: bool,
}
