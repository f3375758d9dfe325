//! The values a node's network is built from.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Cidr, Error, Result, cidr};

/// How many pod networks are kept ready ahead of need unless configured otherwise.
pub const READY_SLOTS_DEFAULT: usize = 8;

/// A short id that all names of a node's (or fabric's) network are derived from: interfaces (a Linux
/// interface name has at most 15 characters), the nftables table, network namespaces. Unique per machine:
/// the caller derives it from data directory and node name, see [`NetId::derive`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetId(String);

impl NetId {
    /// A stable id from any text (for example data directory and node name): six characters of FNV-1a in
    /// base 32.
    pub fn derive(text: &str) -> Self {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash ^= hash >> 32;
        let id = (0..6).map(|i| {
            let digit = ((hash >> (5 * i)) & 31) as usize;
            char::from(b"abcdefghijklmnopqrstuvwxyz234567"[digit])
        });
        NetId(id.collect())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the node-side end of the pod at `offset` in the pod CIDR.
    pub(crate) fn pod_link(&self, offset: u32) -> String {
        format!("v{}-{offset:x}", self.0)
    }

    /// The offset in the pod CIDR that [`NetId::pod_link`] put into `name`.
    pub(crate) fn pod_link_offset(&self, name: &str) -> Option<u32> {
        let hex = name.strip_prefix('v')?.strip_prefix(self.0.as_str())?.strip_prefix('-')?;
        u32::from_str_radix(hex, 16).ok()
    }

    /// Name of the device that carries the node's gateway address and the route to the service CIDR.
    pub(crate) fn gateway_link(&self) -> String {
        format!("g{}", self.0)
    }

    /// Name of a fabric's bridge.
    pub(crate) fn bridge(&self) -> String {
        format!("b{}", self.0)
    }

    /// Name of the fabric's end of a node's cable.
    pub(crate) fn cable(&self) -> String {
        format!("n{}", self.0)
    }

    /// Interface group of this network's finished pod interfaces.
    pub(crate) fn group_whole(&self) -> u32 {
        self.group(0)
    }

    /// Interface group of this network's interfaces that are about to be deleted.
    pub(crate) fn group_dead(&self) -> u32 {
        self.group(1)
    }

    /// Groups are numbers of 31 bits, of which people use small ones: the id in base 37, above 2^30.
    fn group(&self, which: u32) -> u32 {
        let digits = self.0.bytes().fold(0u64, |n, b| {
            let digit = if b.is_ascii_digit() { b - b'0' } else { b - b'a' + 10 };
            n * 37 + u64::from(digit) + 1
        });
        0x4000_0000 | ((digits % 0x1fff_ffff) as u32) << 1 | which
    }

    /// Name of the nftables table.
    pub(crate) fn table(&self) -> String {
        format!("cox-{}", self.0)
    }

    /// Name of the nftables table of policies.
    pub(crate) fn policy_table(&self) -> String {
        format!("cox-{}-policies", self.0)
    }
}

// === impl NetId ===

impl FromStr for NetId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if text.is_empty() || text.len() > 6 || !text.bytes().all(allowed) {
            return Err(Error::InvalidId(text.to_owned()));
        }
        Ok(NetId(text.to_owned()))
    }
}

impl TryFrom<String> for NetId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<NetId> for String {
    fn from(id: NetId) -> String {
        id.0
    }
}

impl fmt::Display for NetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The network namespace a node lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Netns {
    /// That of the thread that starts the network, in practice the process's own.
    Host,
    /// A pinned one, as [`crate::FabricNode::netns_path`] names it.
    Path(PathBuf),
}

/// Everything a node's network is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeNetConfig {
    /// Names of everything this network makes are derived from it.
    pub id: NetId,
    /// Where the node lives.
    pub netns: Netns,
    /// The node's pods get addresses from this prefix, its second address (`.1`) is the node's gateway
    /// address, which pods can use to reach what listens on the node. At most a /8.
    pub pod_cidr: Cidr,
    /// The prefix all nodes' pod CIDRs lie in: traffic inside it keeps its source address.
    pub cluster_cidr: Cidr,
    /// The prefix of cluster IPs.
    pub service_cidr: Cidr,
    /// The node's own address (`status.addresses`, InternalIP). Masquerading uses whatever address the
    /// route gives; this one is `status.hostIP` for the caller and an endpoint that never hairpins.
    pub node_ip: IpAddr,
    /// MTU of pod interfaces, bytes.
    pub mtu: u32,
    /// Where allocations and pinned network namespaces are kept; made when missing. Absolute.
    pub state_dir: PathBuf,
    /// How many pod networks are kept ready ahead of need ([`READY_SLOTS_DEFAULT`]).
    pub ready_slots: usize,
}

impl NodeNetConfig {
    /// The address of the node inside its pod CIDR: the first after the network address. Pods reach what
    /// the node serves there (the API server's endpoint on a single node).
    pub fn gateway_address(&self) -> IpAddr {
        // A prefix is checked to span at least four addresses before anything is built from it.
        self.pod_cidr.nth_v4(1).map_or(self.pod_cidr.address(), IpAddr::V4)
    }

    pub(crate) fn validate(&self) -> Result<()> {
        for (field, prefix) in [
            ("podCIDR", &self.pod_cidr),
            ("clusterCIDR", &self.cluster_cidr),
            ("serviceCIDR", &self.service_cidr),
        ] {
            prefix.v4(field)?;
        }
        cidr::v4(self.node_ip, "nodeIP")?;
        if !(8..=30).contains(&self.pod_cidr.length()) {
            let reason = format!("{} must have between 4 and 16777216 addresses", self.pod_cidr);
            return Err(Error::Invalid { field: "podCIDR", reason });
        }
        if !self.cluster_cidr.contains(self.pod_cidr.address()) {
            let reason = format!("{} does not contain the pod CIDR {}", self.cluster_cidr, self.pod_cidr);
            return Err(Error::Invalid { field: "clusterCIDR", reason });
        }
        if !self.state_dir.is_absolute() {
            let reason = format!("{} must be absolute", self.state_dir.display());
            return Err(Error::Invalid { field: "stateDir", reason });
        }
        if !(576..=65535).contains(&self.mtu) {
            let reason = format!("{} must be between 576 and 65535", self.mtu);
            return Err(Error::Invalid { field: "mtu", reason });
        }
        Ok(())
    }
}

/// A transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        })
    }
}

/// A port of the node that leads to a port of a pod (`hostPort`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostPort {
    /// The node's address the port is opened on; `None` for all of them (`hostIP` empty or `0.0.0.0`).
    pub host_ip: Option<IpAddr>,
    /// The node's port.
    pub host_port: u16,
    /// The pod's port.
    pub pod_port: u16,
    /// Their protocol.
    pub protocol: Protocol,
}

/// What a pod asks of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachRequest {
    /// UID of the pod, or of its sandbox: the owner of the address. Not empty, at most 128 characters of
    /// letters, digits, `-`, `_` and `.`, not starting with a dot.
    pub owner: String,
    /// Ports of the node that lead to the pod.
    pub host_ports: Vec<HostPort>,
}

/// The network of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodNetwork {
    /// Who has it.
    pub owner: String,
    /// The pinned network namespace, to be joined by the sandbox. `lo` and `eth0` are up and configured.
    pub netns_path: PathBuf,
    /// The pod's address.
    pub ip: IpAddr,
    /// The interface at the node's end.
    pub node_interface: String,
    /// Ports of the node that lead to the pod.
    pub host_ports: Vec<HostPort>,
}

/// What [`crate::NodeNetwork::reconcile`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Live pods whose network is whole.
    pub kept: Vec<PodNetwork>,
    /// Live pods whose network is gone or was never made (the machine was restarted, say): their sandboxes
    /// have to be made anew.
    pub lost: Vec<String>,
    /// Owners that are no longer live; their networks were removed.
    pub removed: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_fit_interface_names() {
        let id = NetId::derive("/var/lib/cox\0node-1");
        assert_eq!(id, NetId::derive("/var/lib/cox\0node-1"));
        assert_ne!(id, NetId::derive("/var/lib/cox\0node-2"));
        assert!(id.as_str().parse::<NetId>().is_ok());
        let name = id.pod_link(0x00ff_ffff);
        assert!(name.len() <= 15, "{name}");
        assert_eq!(id.pod_link_offset(&name), Some(0x00ff_ffff));
        assert_eq!(id.pod_link_offset("eth0"), None);
        for bad in ["", "toolong", "A", "a-b"] {
            assert!(bad.parse::<NetId>().is_err(), "{bad}");
        }
    }
}
