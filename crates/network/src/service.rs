//! What a node has to know of a Service's port to forward to it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::{Cidr, Protocol};

/// Names a port of a Service. The port's name may be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServicePortKey {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// `spec.ports[].name`.
    pub port: String,
    /// `spec.ports[].protocol`.
    pub protocol: Protocol,
}

impl fmt::Display for ServicePortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}/{}", self.namespace, self.name, self.port, self.protocol)
    }
}

/// `internalTrafficPolicy` and `externalTrafficPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// All endpoints.
    #[default]
    Cluster,
    /// Endpoints of this node only; the client's address is kept.
    Local,
}

/// One port of a Service that has a cluster IP (headless Services are not forwarded).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// `spec.clusterIPs`.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.ports[].port`.
    pub port: u16,
    /// `spec.ports[].nodePort`.
    pub node_port: Option<u16>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress[].ip` (those with ipMode VIP).
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.loadBalancerSourceRanges`; empty lets everyone in.
    pub load_balancer_source_ranges: Vec<Cidr>,
    /// `sessionAffinity: ClientIP` with its `timeoutSeconds`.
    pub client_ip_affinity: Option<Duration>,
    /// `spec.internalTrafficPolicy`.
    pub internal_traffic_policy: TrafficPolicy,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: TrafficPolicy,
    /// The endpoints of this port in all its EndpointSlices. Order doesn't matter, repeats are ignored.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint with the conditions of its EndpointSlice entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// Whether it is on this node (`nodeName`).
    pub local: bool,
    /// Condition `ready` (missing means true).
    pub ready: bool,
    /// Condition `serving` (missing means the value of `ready`).
    pub serving: bool,
    /// Condition `terminating` (missing means false).
    pub terminating: bool,
}

impl Endpoint {
    /// A ready endpoint.
    pub fn ready(ip: IpAddr, port: u16, local: bool) -> Self {
        Endpoint { ip, port, local, ready: true, serving: true, terminating: false }
    }
}

/// What an [`crate::NodeNetwork::apply_services`] did to the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Service ports that were added, changed or removed.
    pub changed: usize,
    /// Set elements written or deleted.
    pub elements: usize,
    /// Whether the whole table was written anew.
    pub full: bool,
    /// Stale UDP flows that were cut.
    pub flows_cut: usize,
    /// What can't be forwarded, and why (IPv6, an address or node port that another service has). All else is.
    pub refused: Vec<(ServicePortKey, String)>,
}
