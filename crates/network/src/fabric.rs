//! Several nodes on one machine: a bridge, and a network namespace with a cable to it for each node.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::{Cidr, NetId, Result};

/// What a fabric is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FabricConfig {
    /// The bridge is named after it.
    pub id: NetId,
    /// Addresses of the nodes, for example 10.41.0.0/24; the fabric's own is the second one (`.1`).
    pub subnet: Cidr,
    /// The prefix all nodes' pod CIDRs lie in.
    pub cluster_cidr: Cidr,
    /// MTU of the cables, bytes.
    pub mtu: u32,
    /// Where the nodes' network namespaces are pinned; made when missing. Absolute.
    pub state_dir: PathBuf,
}

/// A node's place in a fabric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FabricNode {
    /// The node's id, the same as in its [`crate::NodeNetConfig`].
    pub id: NetId,
    /// Its address in the fabric's subnet.
    pub ip: IpAddr,
    /// Its pod CIDR: the process's own network namespace gets a route to it.
    pub pod_cidr: Cidr,
    /// Its pinned network namespace, for [`crate::Netns::Path`].
    pub netns_path: PathBuf,
}

/// The network that joins the nodes of one machine, in the network namespace of the process.
#[derive(Clone, Debug)]
pub struct Fabric {
    config: FabricConfig,
}

// === impl Fabric ===

impl Fabric {
    /// Makes the bridge, its address, forwarding and masquerading to the outside, or finds them.
    ///
    /// # Errors
    /// A field that can't be served, or the kernel's refusal.
    pub async fn start(config: FabricConfig) -> Result<Self> {
        Ok(Fabric { config })
    }

    /// The fabric's own address: where nodes and pods reach what the process serves.
    pub fn address(&self) -> IpAddr {
        self.config.subnet.address()
    }

    /// Where the network namespace of the node `id` is (or will be) pinned.
    pub fn netns_path(&self, id: &NetId) -> PathBuf {
        self.config.state_dir.join(id.as_str())
    }

    /// Makes a node's network namespace, its cable to the bridge (`eth0` inside, with the node's address and
    /// a default route to the fabric) and the route to its pods; finds them when they exist. A stopped node
    /// is started.
    ///
    /// # Errors
    /// An address outside the subnet or in use, or the kernel's refusal.
    pub async fn add_node(&self, id: NetId, ip: IpAddr, pod_cidr: Cidr) -> Result<FabricNode> {
        let _ = (id, ip, pod_cidr);
        Err(crate::Error::Closed)
    }

    /// Pulls the node's cable, as if its machine had failed. Its pods run on, unreachable.
    ///
    /// # Errors
    /// The kernel's refusal; no such node.
    pub async fn stop_node(&self, id: &NetId) -> Result<()> {
        let _ = id;
        Err(crate::Error::Closed)
    }

    /// Puts the cable of a stopped node back.
    ///
    /// # Errors
    /// The kernel's refusal; no such node.
    pub async fn start_node(&self, id: &NetId) -> Result<()> {
        let _ = id;
        Err(crate::Error::Closed)
    }

    /// Removes a node's cable and network namespace. No such node is no error.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn remove_node(&self, id: &NetId) -> Result<()> {
        let _ = id;
        Err(crate::Error::Closed)
    }

    /// Removes a fabric with all its nodes. Nothing there is no error.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn purge(config: FabricConfig) -> Result<()> {
        let _ = config;
        Err(crate::Error::Closed)
    }
}
