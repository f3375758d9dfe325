//! Addresses, routes and neighbours (IPv4).

use std::net::Ipv4Addr;

use super::codec::{self, Batch};

const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const NLM_F_REPLACE_CREATE: u16 = 0x500;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;

const AF_INET: u8 = 2;
const RT_TABLE_MAIN: u8 = 254;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const RTNH_F_ONLINK: u32 = 4;

/// `rtm_protocol` of the routes made here, so that they are told from others'.
pub const ROUTE_PROTOCOL: u8 = 67;

/// A route to an IPv4 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub to: Ipv4Addr,
    /// Length of the prefix in bits.
    pub length: u8,
    /// The next hop; `None` when the destination is on the interface itself.
    pub via: Option<Ipv4Addr>,
    /// The interface, by index; found by the next hop when `None`.
    pub interface: Option<u32>,
    /// Address that connections over this route start from, unless they choose one.
    pub source: Option<Ipv4Addr>,
    /// The next hop is on the interface although no address says so.
    pub onlink: bool,
    /// Who made it: [`ROUTE_PROTOCOL`] for routes of ours. Requests always carry that.
    pub protocol: u8,
}

// === impl Route ===

impl Route {
    /// A route to what is on the interface itself.
    pub fn direct(to: Ipv4Addr, length: u8, interface: u32) -> Self {
        Route {
            to,
            length,
            via: None,
            interface: Some(interface),
            source: None,
            onlink: false,
            protocol: ROUTE_PROTOCOL,
        }
    }

    /// A route over a next hop.
    pub fn via(to: Ipv4Addr, length: u8, via: Ipv4Addr) -> Self {
        Route {
            to,
            length,
            via: Some(via),
            interface: None,
            source: None,
            onlink: false,
            protocol: ROUTE_PROTOCOL,
        }
    }
}

// === impl Batch ===

impl Batch {
    /// Gives an interface an address; one it has already is no error.
    pub fn add_address(&mut self, interface: u32, address: Ipv4Addr, length: u8) {
        let mut header = [0; 8];
        header[0] = AF_INET;
        header[1] = length;
        header[4..8].copy_from_slice(&interface.to_ne_bytes());
        let what = format!("add address {address}/{length}");
        self.push(RTM_NEWADDR, NLM_F_REPLACE_CREATE, what, &header, |m| {
            m.ipv4(IFA_LOCAL, address);
            m.ipv4(IFA_ADDRESS, address);
        });
    }

    /// Makes a route or replaces the one to the same prefix.
    pub fn replace_route(&mut self, route: &Route) {
        self.route(RTM_NEWROUTE, NLM_F_REPLACE_CREATE, "replace", route);
    }

    /// Removes a route.
    pub fn del_route(&mut self, route: &Route) {
        self.route(RTM_DELROUTE, 0, "delete", route);
    }

    fn route(&mut self, kind: u16, flags: u16, verb: &str, route: &Route) {
        let what = match route.via {
            Some(via) => format!("{verb} route {}/{} via {via}", route.to, route.length),
            None => format!("{verb} route {}/{}", route.to, route.length),
        };
        let mut header = [0; 12];
        header[0] = AF_INET;
        header[1] = route.length;
        header[4] = RT_TABLE_MAIN;
        header[5] = ROUTE_PROTOCOL;
        header[6] = if route.via.is_some() { RT_SCOPE_UNIVERSE } else { RT_SCOPE_LINK };
        header[7] = RTN_UNICAST;
        if route.onlink {
            header[8..12].copy_from_slice(&RTNH_F_ONLINK.to_ne_bytes());
        }
        self.push(kind, flags, what, &header, |m| {
            if route.length > 0 {
                m.ipv4(RTA_DST, route.to);
            }
            if let Some(via) = route.via {
                m.ipv4(RTA_GATEWAY, via);
            }
            if let Some(interface) = route.interface {
                m.u32(RTA_OIF, interface);
            }
            if let Some(source) = route.source {
                m.ipv4(RTA_PREFSRC, source);
            }
        });
    }

    /// Says once and for all which hardware address a neighbour has.
    pub fn set_neighbour(&mut self, interface: u32, address: Ipv4Addr, mac: [u8; 6]) {
        let mut header = [0; 12];
        header[0] = AF_INET;
        header[4..8].copy_from_slice(&interface.to_ne_bytes());
        header[8..10].copy_from_slice(&NUD_PERMANENT.to_ne_bytes());
        self.push(RTM_NEWNEIGH, NLM_F_REPLACE_CREATE, format!("set neighbour {address}"), &header, |m| {
            m.ipv4(NDA_DST, address);
            m.bytes(NDA_LLADDR, &mac);
        });
    }
}

pub(super) fn request_all(batch: &mut Batch, flags: u16) {
    let mut header = [0; 12];
    header[0] = AF_INET;
    header[4] = RT_TABLE_MAIN;
    batch.push(RTM_GETROUTE, flags, "list routes", &header, |_| {});
}

pub(super) fn parse(kind: u16, payload: &[u8]) -> Option<Route> {
    if kind != RTM_NEWROUTE || payload.len() < 12 || payload[4] != RT_TABLE_MAIN || payload[7] != RTN_UNICAST
    {
        return None;
    }
    let mut route = Route {
        to: Ipv4Addr::UNSPECIFIED,
        length: payload[1],
        via: None,
        interface: None,
        source: None,
        onlink: codec::ne32(payload, 8) & RTNH_F_ONLINK != 0,
        protocol: payload[5],
    };
    for (kind, value) in codec::attributes(&payload[12..]) {
        match kind {
            RTA_DST => route.to = codec::ipv4(value)?,
            RTA_GATEWAY => route.via = codec::ipv4(value),
            RTA_PREFSRC => route.source = codec::ipv4(value),
            RTA_OIF => route.interface = Some(codec::ne32(value, 0)),
            _ => {}
        }
    }
    Some(route)
}
