//! Interfaces.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::codec::{self, Batch, Message};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const NLM_F_EXCL_CREATE: u16 = 0x600;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
/// Statistics make most of an answer and are not wanted.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
const IFF_UP: u32 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Per-interface IPv4 settings (`net.ipv4.conf.<interface>.*`) that can be set by netlink, by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum InetConf {
    /// `proxy_arp`.
    ProxyArp = 3,
    /// `send_redirects`.
    SendRedirects = 5,
    /// `rp_filter`.
    RpFilter = 8,
    /// `route_localnet`.
    RouteLocalnet = 26,
}

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index in its network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is administratively up.
    pub up: bool,
    /// Its MTU, bytes.
    pub mtu: u32,
    /// Its hardware address.
    pub mac: Vec<u8>,
    /// Index of the bridge it belongs to.
    pub master: Option<u32>,
    /// Its group, 0 unless set.
    pub group: u32,
    /// Its kind, such as `veth`; empty for hardware.
    pub kind: String,
}

/// One end of a new veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Its name.
    pub name: &'a str,
    /// The index it is to have; the kernel's choice when `None`.
    pub index: Option<u32>,
    /// The hardware address it is to have; the kernel's choice when `None`.
    pub mac: Option<[u8; 6]>,
    /// MTU, bytes.
    pub mtu: u32,
    /// The network namespace to make it in; that of the socket when `None`.
    pub netns: Option<BorrowedFd<'a>>,
    /// Its group.
    pub group: u32,
}

/// Which interface a change is for.
#[derive(Clone, Copy, Debug)]
pub enum LinkRef<'a> {
    /// By index.
    Index(u32),
    /// By name.
    Name(&'a str),
}

/// Changes of an interface; what is `None` or empty stays.
#[derive(Clone, Debug, Default)]
pub struct LinkChange<'a> {
    /// Up or down.
    pub up: Option<bool>,
    /// The bridge it joins, by index; 0 leaves.
    pub master: Option<u32>,
    /// Its group.
    pub group: Option<u32>,
    /// Its hardware address.
    pub mac: Option<[u8; 6]>,
    /// IPv4 settings.
    pub inet: &'a [(InetConf, u32)],
    /// No automatic IPv6 address. Needs a kernel with IPv6.
    pub no_ipv6_address: bool,
}

// === impl Batch ===

impl Batch {
    /// Makes a veth pair.
    pub fn add_veth(&mut self, near: &VethEnd<'_>, far: &VethEnd<'_>) {
        let what = format!("add veth {} - {}", near.name, far.name);
        self.push(RTM_NEWLINK, NLM_F_EXCL_CREATE, what, &ifinfo(near.index.unwrap_or(0), 0, 0), |m| {
            write_end(m, near);
            m.nest(IFLA_LINKINFO, |m| {
                m.text(IFLA_INFO_KIND, "veth");
                m.nest(IFLA_INFO_DATA, |m| {
                    m.nest(VETH_INFO_PEER, |m| {
                        m.raw(&ifinfo(far.index.unwrap_or(0), 0, 0));
                        write_end(m, far);
                    });
                });
            });
        });
    }

    /// Makes a bridge.
    pub fn add_bridge(&mut self, name: &str, mtu: u32) {
        self.push(RTM_NEWLINK, NLM_F_EXCL_CREATE, format!("add bridge {name}"), &ifinfo(0, 0, 0), |m| {
            m.text(IFLA_IFNAME, name);
            m.u32(IFLA_MTU, mtu);
            m.nest(IFLA_LINKINFO, |m| m.text(IFLA_INFO_KIND, "bridge"));
        });
    }

    /// Changes an interface.
    pub fn set_link(&mut self, link: LinkRef<'_>, change: &LinkChange<'_>) {
        let (flags, mask) = match change.up {
            Some(true) => (IFF_UP, IFF_UP),
            Some(false) => (0, IFF_UP),
            None => (0, 0),
        };
        let (index, what) = match link {
            LinkRef::Index(index) => (index, format!("set interface {index}")),
            LinkRef::Name(name) => (0, format!("set interface {name}")),
        };
        self.push(RTM_NEWLINK, 0, what, &ifinfo(index, flags, mask), |m| {
            if let LinkRef::Name(name) = link {
                m.text(IFLA_IFNAME, name);
            }
            if let Some(master) = change.master {
                m.u32(IFLA_MASTER, master);
            }
            if let Some(group) = change.group {
                m.u32(IFLA_GROUP, group);
            }
            if let Some(mac) = change.mac {
                m.bytes(IFLA_ADDRESS, &mac);
            }
            if change.inet.is_empty() && !change.no_ipv6_address {
                return;
            }
            m.nest(IFLA_AF_SPEC, |m| {
                if !change.inet.is_empty() {
                    m.nest(AF_INET, |m| {
                        m.nest(IFLA_INET_CONF, |m| {
                            for (setting, value) in change.inet {
                                m.u32(*setting as u16, *value);
                            }
                        });
                    });
                }
                if change.no_ipv6_address {
                    m.nest(AF_INET6, |m| m.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE));
                }
            });
        });
    }

    /// Removes an interface (and the other end of a veth).
    pub fn del_link(&mut self, name: &str) {
        let what = format!("delete interface {name}");
        self.push(RTM_DELLINK, 0, what, &ifinfo(0, 0, 0), |m| m.text(IFLA_IFNAME, name));
    }

    /// Removes every interface of a group at once, which costs little more than removing one.
    pub fn del_link_group(&mut self, group: u32) {
        let what = format!("delete interfaces of group {group}");
        self.push(RTM_DELLINK, 0, what, &ifinfo(0, 0, 0), |m| m.u32(IFLA_GROUP, group));
    }
}

fn write_end(m: &mut Message<'_>, end: &VethEnd<'_>) {
    m.text(IFLA_IFNAME, end.name);
    m.u32(IFLA_MTU, end.mtu);
    if let Some(mac) = end.mac {
        m.bytes(IFLA_ADDRESS, &mac);
    }
    if end.group != 0 {
        m.u32(IFLA_GROUP, end.group);
    }
    if let Some(netns) = end.netns {
        m.u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32);
    }
}

/// `struct ifinfomsg`.
fn ifinfo(index: u32, flags: u32, mask: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&mask.to_ne_bytes());
    header
}

pub(super) fn request_all(batch: &mut Batch, flags: u16) {
    batch.push(RTM_GETLINK, flags, "list interfaces", &ifinfo(0, 0, 0), |m| {
        m.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    });
}

pub(super) fn request_one(batch: &mut Batch, name: &str) {
    batch.push(RTM_GETLINK, 0, format!("get interface {name}"), &ifinfo(0, 0, 0), |m| {
        m.text(IFLA_IFNAME, name);
        m.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    });
}

pub(super) fn parse(kind: u16, payload: &[u8]) -> Option<Link> {
    if kind != RTM_NEWLINK || payload.len() < 16 {
        return None;
    }
    let mut link = Link {
        index: codec::ne32(payload, 4),
        name: String::new(),
        up: codec::ne32(payload, 8) & IFF_UP != 0,
        mtu: 0,
        mac: Vec::new(),
        master: None,
        group: 0,
        kind: String::new(),
    };
    for (kind, value) in codec::attributes(&payload[16..]) {
        match kind {
            IFLA_IFNAME => link.name = codec::text(value),
            IFLA_MTU => link.mtu = codec::ne32(value, 0),
            IFLA_ADDRESS => link.mac = value.to_vec(),
            IFLA_MASTER => link.master = Some(codec::ne32(value, 0)),
            IFLA_GROUP => link.group = codec::ne32(value, 0),
            IFLA_LINKINFO => {
                link.kind = codec::attribute(value, IFLA_INFO_KIND).map(codec::text).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(link)
}
