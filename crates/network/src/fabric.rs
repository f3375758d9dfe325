//! Several nodes on one machine: a bridge, and a network namespace with a cable to it for each node.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use cox_sys::netlink::{
    self, Batch, InetConf, LinkChange, LinkRef, Nft, Route, Rtnl, Transaction, VethEnd, netns,
};
use serde::{Deserialize, Serialize};

use crate::base::{delete_table, entries};
use crate::cidr::v4;
use crate::node::on_thread;
use crate::{Cidr, Error, NetId, Result, rules};

const NODE_INTERFACE: &str = "eth0";
const NODE_INTERFACE_INDEX: u32 = 2;
const LOOPBACK_INDEX: u32 = 1;
/// What follows a node's id in the name of the file that describes it.
const RECORD: &str = "json";

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        let (first, length) = config.subnet.v4("subnet")?;
        config.cluster_cidr.v4("clusterCIDR")?;
        if !(8..=30).contains(&length) {
            let reason = format!("{first}/{length} must have between 4 and 16777216 addresses");
            return Err(Error::Invalid { field: "subnet", reason });
        }
        if !config.state_dir.is_absolute() {
            let reason = format!("{} must be absolute", config.state_dir.display());
            return Err(Error::Invalid { field: "stateDir", reason });
        }
        let fabric = Fabric { config };
        let worker = fabric.clone();
        on_thread(move || worker.bring_up()).await?;
        Ok(fabric)
    }

    /// The fabric's own address: where nodes and pods reach what the process serves.
    pub fn address(&self) -> IpAddr {
        // The subnet was checked to have four addresses at least.
        self.config.subnet.nth_v4(1).map_or(self.config.subnet.address(), IpAddr::V4)
    }

    /// Where the network namespace of the node `id` is (or will be) pinned.
    pub fn netns_path(&self, id: &NetId) -> PathBuf {
        self.config.state_dir.join(id.as_str())
    }

    /// The nodes there are, by id; stopped ones too.
    ///
    /// # Errors
    /// The state directory can't be read.
    pub fn nodes(&self) -> Result<Vec<FabricNode>> {
        let mut found = Vec::new();
        for path in entries(&self.config.state_dir)? {
            if path.extension().is_some_and(|e| e == RECORD) {
                found.extend(read_record(&path)?);
            }
        }
        Ok(found)
    }

    /// Makes a node's network namespace, its cable to the bridge (`eth0` inside, with the node's address and
    /// a default route to the fabric) and the route to its pods; finds them when they exist. A stopped node
    /// is started.
    ///
    /// # Errors
    /// An address outside the subnet or in use, or the kernel's refusal.
    pub async fn add_node(&self, id: NetId, ip: IpAddr, pod_cidr: Cidr) -> Result<FabricNode> {
        let fabric = self.clone();
        let netns_path = self.netns_path(&id);
        on_thread(move || fabric.add(FabricNode { id, ip, pod_cidr, netns_path })).await
    }

    /// Pulls the node's cable, as if its machine had failed. Its pods run on, unreachable.
    ///
    /// # Errors
    /// The kernel's refusal; no such node.
    pub async fn stop_node(&self, id: &NetId) -> Result<()> {
        self.plug(id, false).await
    }

    /// Puts the cable of a stopped node back.
    ///
    /// # Errors
    /// The kernel's refusal; no such node.
    pub async fn start_node(&self, id: &NetId) -> Result<()> {
        self.plug(id, true).await
    }

    /// Has the process's own network namespace reach cluster IPs by way of the node `by`.
    ///
    /// # Errors
    /// The kernel's refusal; no such node.
    pub async fn route_services(&self, service_cidr: Cidr, by: &NetId) -> Result<()> {
        let (to, length) = service_cidr.v4("serviceCIDR")?;
        let record = self.record(by);
        let node = read_record(&record)?.ok_or_else(|| no_such_node(by))?;
        on_thread(move || {
            let mut batch = Batch::new();
            batch.replace_route(&Route::via(to, length, v4(node.ip, "node address")?));
            rtnl()?.execute(batch).map_err(Error::netlink("route to the services"))
        })
        .await
    }

    /// Removes a node's cable and network namespace. No such node is no error.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn remove_node(&self, id: &NetId) -> Result<()> {
        let (fabric, id) = (self.clone(), id.clone());
        on_thread(move || fabric.remove(&id)).await
    }

    /// Removes a fabric with all its nodes. Nothing there is no error.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn purge(config: FabricConfig) -> Result<()> {
        on_thread(move || Fabric { config }.remove_all()).await
    }

    fn table(&self) -> String {
        format!("cox-fabric-{}", self.config.id)
    }

    fn record(&self, id: &NetId) -> PathBuf {
        self.config.state_dir.join(format!("{id}.{RECORD}"))
    }

    fn bring_up(&self) -> Result<()> {
        let config = &self.config;
        fs::create_dir_all(&config.state_dir).map_err(Error::file("create", &config.state_dir))?;
        let mut rtnl = rtnl()?;
        let mut batch = Batch::new();
        let name = config.id.bridge();
        batch.add_bridge(&name, config.mtu);
        rtnl.execute_unless(batch, netlink::Error::is_exists).map_err(Error::netlink("make bridge"))?;
        let index = self.bridge_index(&mut rtnl)?;
        let mut batch = Batch::new();
        batch.set_link(LinkRef::Index(index), &up());
        batch.add_address(index, v4(self.address(), "subnet")?, config.subnet.length());
        rtnl.execute(batch).map_err(Error::netlink("set up bridge"))?;
        netns::write_setting("ipv4/ip_forward", "1").map_err(Error::netlink("turn on ip_forward"))?;

        let mut transaction = Transaction::new(&self.table());
        let (subnet, cluster) = (config.subnet.v4("subnet")?, config.cluster_cidr.v4("clusterCIDR")?);
        rules::write_fabric_table(&mut transaction, subnet, cluster);
        let mut nft = Nft::open().map_err(Error::netlink("open nf_tables"))?;
        nft.commit(transaction).map_err(Error::netlink("write nftables table"))
    }

    fn bridge_index(&self, rtnl: &mut Rtnl) -> Result<u32> {
        let name = self.config.id.bridge();
        let link = rtnl.link(&name).map_err(Error::netlink("find bridge"))?;
        link.map(|l| l.index)
            .ok_or_else(|| Error::Invalid { field: "interface", reason: format!("{name} does not exist") })
    }

    fn add(&self, node: FabricNode) -> Result<FabricNode> {
        let ip = v4(node.ip, "node address")?;
        let (pods, pods_length) = node.pod_cidr.v4("podCIDR")?;
        if !self.config.subnet.contains(node.ip) || node.ip == self.address() {
            let reason = format!("{ip} is not an address for nodes in {}", self.config.subnet);
            return Err(Error::Invalid { field: "node address", reason });
        }
        for other in self.nodes()? {
            if other.id != node.id && (other.ip == node.ip || other.pod_cidr == node.pod_cidr) {
                let reason = format!("{ip} or {} is already that of node {}", node.pod_cidr, other.id);
                return Err(Error::Invalid { field: "node address", reason });
            }
        }
        let record = self.record(&node.id);
        // What has another address now is made anew.
        if read_record(&record)?.is_some_and(|known| known != node) {
            self.remove(&node.id)?;
        }
        let text =
            serde_json::to_vec(&node).map_err(|e| Error::file("encode", &record)(io::Error::other(e)))?;
        fs::write(&record, text).map_err(Error::file("write", &record))?;

        let mut rtnl = rtnl()?;
        let bridge = self.bridge_index(&mut rtnl)?;
        let cable = node.id.cable();
        if !netns::is_pinned(&node.netns_path).map_err(Error::netlink("find node's network namespace"))? {
            // A file without a namespace is what a reboot leaves.
            netns::unpin(&node.netns_path).map_err(Error::netlink("unpin network namespace"))?;
            netns::create(&node.netns_path).map_err(Error::netlink("make node's network namespace"))?;
        }
        let namespace =
            netns::open(&node.netns_path).map_err(Error::netlink("open node's network namespace"))?;
        if rtnl.link(&cable).map_err(Error::netlink("find cable"))?.is_none() {
            let (mtu, group) = (self.config.mtu, 0);
            let mut batch = Batch::new();
            batch.add_veth(
                &VethEnd { name: &cable, index: None, mac: None, mtu, netns: None, group },
                &VethEnd {
                    name: NODE_INTERFACE,
                    index: Some(NODE_INTERFACE_INDEX),
                    mac: None,
                    mtu,
                    netns: Some(namespace.as_fd()),
                    group,
                },
            );
            rtnl.execute(batch).map_err(Error::netlink("make cable"))?;
        }
        netlink::in_netns(namespace.as_fd(), || self.set_up_inside(ip))
            .map_err(Error::netlink("enter node's network namespace"))??;
        let mut batch = Batch::new();
        batch.set_link(LinkRef::Name(&cable), &LinkChange { master: Some(bridge), ..up() });
        batch.replace_route(&Route::via(pods, pods_length, ip));
        rtnl.execute(batch).map_err(Error::netlink("plug in cable"))?;
        Ok(node)
    }

    fn set_up_inside(&self, ip: Ipv4Addr) -> Result<()> {
        let mut batch = Batch::new();
        batch.set_link(LinkRef::Index(LOOPBACK_INDEX), &LinkChange { up: Some(true), ..Default::default() });
        batch.set_link(LinkRef::Index(NODE_INTERFACE_INDEX), &up());
        batch.add_address(NODE_INTERFACE_INDEX, ip, self.config.subnet.length());
        batch.replace_route(&Route::via(Ipv4Addr::UNSPECIFIED, 0, v4(self.address(), "subnet")?));
        rtnl()?.execute(batch).map_err(Error::netlink("set up the node's end"))
    }

    async fn plug(&self, id: &NetId, plugged: bool) -> Result<()> {
        if !self.record(id).exists() {
            return Err(no_such_node(id));
        }
        let cable = id.cable();
        on_thread(move || {
            let mut batch = Batch::new();
            let change = LinkChange { up: Some(plugged), ..LinkChange::default() };
            batch.set_link(LinkRef::Name(&cable), &change);
            rtnl()?.execute(batch).map_err(Error::netlink("plug or unplug cable"))
        })
        .await
    }

    fn remove(&self, id: &NetId) -> Result<()> {
        let record = self.record(id);
        let mut rtnl = rtnl()?;
        if let Some(node) = read_record(&record)? {
            let ip = v4(node.ip, "node address")?;
            let mut batch = Batch::new();
            for route in rtnl.routes().map_err(Error::netlink("list routes"))? {
                if route.via == Some(ip) && route.protocol == netlink::ROUTE_PROTOCOL {
                    batch.del_route(&route);
                }
            }
            rtnl.execute_unless(batch, netlink::Error::is_not_found)
                .map_err(Error::netlink("delete routes"))?;
        }
        let mut batch = Batch::new();
        batch.del_link(&id.cable());
        rtnl.execute_unless(batch, netlink::Error::is_not_found).map_err(Error::netlink("delete cable"))?;
        netns::unpin(&self.netns_path(id)).map_err(Error::netlink("unpin network namespace"))?;
        // Last, so that an interrupted removal is found again.
        match fs::remove_file(&record) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove", record)(error))
            }
            _ => Ok(()),
        }
    }

    fn remove_all(&self) -> Result<()> {
        for path in entries(&self.config.state_dir)? {
            if let Some(Ok(id)) = path.file_stem().map(|name| name.to_string_lossy().parse::<NetId>()) {
                self.remove(&id)?;
            }
        }
        let mut batch = Batch::new();
        batch.del_link(&self.config.id.bridge());
        rtnl()?
            .execute_unless(batch, netlink::Error::is_not_found)
            .map_err(Error::netlink("delete bridge"))?;
        delete_table(&self.table())?;
        // Others may keep things there.
        let _ = fs::remove_dir(&self.config.state_dir);
        Ok(())
    }
}

fn rtnl() -> Result<Rtnl> {
    Rtnl::open().map_err(Error::netlink("open rtnetlink"))
}

fn no_such_node(id: &NetId) -> Error {
    Error::Invalid { field: "node", reason: format!("{id} is not in this fabric") }
}

/// Up, without an automatic IPv6 address.
fn up() -> LinkChange<'static> {
    LinkChange {
        up: Some(true),
        inet: &[(InetConf::SendRedirects, 0)],
        no_ipv6_address: Path::new("/proc/sys/net/ipv6").exists(),
        ..LinkChange::default()
    }
}

/// A node's record; one that can't be read was cut short by the machine's end and says nothing.
fn read_record(path: &Path) -> Result<Option<FabricNode>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", path)(error)),
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
    }
}
