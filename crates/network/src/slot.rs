//! A slot is the whole network of a pod, made before the pod is known: a pinned network namespace with an
//! address, joined to the node by a veth pair. Making one takes the kernel's rtnl lock several times and a new
//! network namespace, which is what makes it slow; giving a ready one away is a file.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::PathBuf;

use cox_sys::netlink::{self, Batch, InetConf, Link, LinkChange, LinkRef, Route, Rtnl, VethEnd, netns};

use crate::{Error, NetId, NodeNetConfig, Result, cidr};

/// What pods take for their gateway; no interface has it, its hardware address is told to them.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// Hardware address of every node end: they never share a segment.
const NODE_MAC: [u8; 6] = [0xee; 6];
const POD_INTERFACE: &str = "eth0";
const POD_INTERFACE_INDEX: u32 = 2;
const LOOPBACK_INDEX: u32 = 1;
/// Interfaces are deleted in groups of at most this many, so that the rtnl lock is free in between.
const DISPOSE_MAX: usize = 32;

/// How slots of one node are made.
#[derive(Clone)]
pub(crate) struct SlotSpec {
    id: NetId,
    pod_cidr: crate::Cidr,
    mtu: u32,
    netns_dir: PathBuf,
    ipv6: bool,
}

/// The thread's tools for one node: a socket and a way back.
pub(crate) struct SlotMaker {
    spec: SlotSpec,
    node: std::fs::File,
    rtnl: Rtnl,
}

// === impl SlotSpec ===

impl SlotSpec {
    pub fn new(config: &NodeNetConfig) -> Self {
        SlotSpec {
            id: config.id.clone(),
            pod_cidr: config.pod_cidr,
            mtu: config.mtu,
            netns_dir: config.state_dir.join("netns"),
            ipv6: std::path::Path::new("/proc/sys/net/ipv6").exists(),
        }
    }

    /// Offsets that pods can have: not the prefix itself, not the node's gateway address, not the broadcast
    /// address.
    pub fn offsets(&self) -> std::ops::Range<u32> {
        2..(self.pod_cidr.size_v4() - 1) as u32
    }

    pub fn address(&self, offset: u32) -> Option<Ipv4Addr> {
        self.pod_cidr.nth_v4(offset)
    }

    pub fn offset(&self, address: std::net::IpAddr) -> Option<u32> {
        let (first, _) = self.pod_cidr.v4("podCIDR").ok()?;
        let address = cidr::v4(address, "ip").ok()?;
        let offset = address.to_bits().checked_sub(first.to_bits())?;
        self.offsets().contains(&offset).then_some(offset)
    }

    pub fn netns_path(&self, offset: u32) -> PathBuf {
        let name = self.address(offset).unwrap_or(Ipv4Addr::UNSPECIFIED).to_string();
        self.netns_dir.join(name)
    }

    pub fn link(&self, offset: u32) -> String {
        self.id.pod_link(offset)
    }

    /// Whether `link` is the node end of a slot that was finished and not given up.
    pub fn is_whole(&self, link: &Link) -> bool {
        link.up && link.group == self.id.group_whole()
    }
}

// === impl SlotMaker ===

impl SlotMaker {
    /// To be called on a thread in the node's network namespace that does nothing else.
    pub fn new(spec: SlotSpec) -> Result<Self> {
        let node = netns::current().map_err(Error::netlink("open node's network namespace"))?;
        let rtnl = Rtnl::open().map_err(Error::netlink("open rtnetlink"))?;
        Ok(SlotMaker { spec, node, rtnl })
    }

    /// Makes the slot at `offset`. When it fails nothing is left of it.
    pub fn build(&mut self, offset: u32) -> Result<()> {
        let address = self.spec.address(offset).ok_or(Error::NoAddressLeft(self.spec.pod_cidr))?;
        // Nothing is in use at an offset that is to be built: what is there was left by a crash.
        self.clear(offset)?;
        let pod_mac = mac_of(address);
        let inside = self.build_inside(offset, address, pod_mac);
        netns::enter(self.node.as_fd()).map_err(Error::netlink("return to the node's network namespace"))?;
        let built = inside.and_then(|()| self.build_outside(offset, address, pod_mac));
        if built.is_err() {
            self.clear(offset)?;
        }
        built
    }

    /// The pod's side: the thread is in the new namespace afterwards.
    fn build_inside(&mut self, offset: u32, address: Ipv4Addr, mac: [u8; 6]) -> Result<()> {
        netns::enter_new().map_err(Error::netlink("make network namespace"))?;
        netns::pin_current(&self.spec.netns_path(offset)).map_err(Error::netlink("pin network namespace"))?;
        let mut rtnl = Rtnl::open().map_err(Error::netlink("open rtnetlink"))?;
        let mut batch = Batch::new();
        let (mtu, group) = (self.spec.mtu, 0);
        let pod = VethEnd {
            name: POD_INTERFACE,
            index: Some(POD_INTERFACE_INDEX),
            mac: Some(mac),
            mtu,
            netns: None,
            group,
        };
        let node = VethEnd {
            name: &self.spec.link(offset),
            index: None,
            mac: Some(NODE_MAC),
            mtu,
            netns: Some(self.node.as_fd()),
            group,
        };
        batch.add_veth(&pod, &node);
        let up = LinkChange { up: Some(true), ..LinkChange::default() };
        batch.set_link(LinkRef::Index(LOOPBACK_INDEX), &up);
        batch.set_link(
            LinkRef::Index(POD_INTERFACE_INDEX),
            &LinkChange { no_ipv6_address: self.spec.ipv6, ..up },
        );
        batch.add_address(POD_INTERFACE_INDEX, address, 32);
        batch.set_neighbour(POD_INTERFACE_INDEX, GATEWAY, NODE_MAC);
        batch.replace_route(&Route::direct(GATEWAY, 32, POD_INTERFACE_INDEX));
        batch.replace_route(&Route {
            interface: Some(POD_INTERFACE_INDEX),
            onlink: true,
            ..Route::via(Ipv4Addr::UNSPECIFIED, 0, GATEWAY)
        });
        rtnl.execute(batch).map_err(Error::netlink("set up the pod's end"))
    }

    fn build_outside(&mut self, offset: u32, address: Ipv4Addr, pod_mac: [u8; 6]) -> Result<()> {
        let name = self.spec.link(offset);
        let link = self.rtnl.link(&name).map_err(Error::netlink("find the node's end"))?;
        let Some(index) = link.map(|l| l.index) else {
            let reason = format!("{name} vanished while it was set up");
            return Err(Error::Invalid { field: "interface", reason });
        };
        let mut batch = Batch::new();
        let inet = &[
            // For clients that ask for the gateway although they are told its address.
            (InetConf::ProxyArp, 1),
            // A pod that meets itself behind a service goes in and out by the same interface.
            (InetConf::SendRedirects, 0),
            // Host ports on 127.0.0.1.
            (InetConf::RouteLocalnet, 1),
        ];
        let change =
            LinkChange { up: Some(true), inet, no_ipv6_address: self.spec.ipv6, ..LinkChange::default() };
        batch.set_link(LinkRef::Index(index), &change);
        batch.set_neighbour(index, address, pod_mac);
        batch.replace_route(&Route::direct(address, 32, index));
        // Last: only a slot that has it is whole.
        let whole = LinkChange { group: Some(self.spec.id.group_whole()), ..LinkChange::default() };
        batch.set_link(LinkRef::Index(index), &whole);
        self.rtnl.execute(batch).map_err(Error::netlink("set up the node's end"))
    }

    /// Removes what an unfinished build left.
    fn clear(&mut self, offset: u32) -> Result<()> {
        let mut batch = Batch::new();
        batch.del_link(&self.spec.link(offset));
        self.rtnl
            .execute_unless(batch, netlink::Error::is_not_found)
            .map_err(Error::netlink("delete interface"))?;
        netns::unpin(&self.spec.netns_path(offset)).map_err(Error::netlink("unpin network namespace"))
    }

    /// Removes slots with all that is in them, several at once: their interfaces go in one step.
    pub fn dispose(&mut self, offsets: &[u32]) -> Result<()> {
        for chunk in offsets.chunks(DISPOSE_MAX) {
            let mut batch = Batch::new();
            let dead = LinkChange { group: Some(self.spec.id.group_dead()), ..LinkChange::default() };
            for offset in chunk {
                batch.set_link(LinkRef::Name(&self.spec.link(*offset)), &dead);
            }
            batch.del_link_group(self.spec.id.group_dead());
            self.rtnl
                .execute_unless(batch, netlink::Error::is_not_found)
                .map_err(Error::netlink("delete interfaces"))?;
            for offset in chunk {
                netns::unpin(&self.spec.netns_path(*offset))
                    .map_err(Error::netlink("unpin network namespace"))?;
            }
        }
        Ok(())
    }
}

/// A locally administered hardware address that tells the IP address, as CNI's bridge plugin makes them.
fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}
