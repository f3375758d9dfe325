//! Tracked connections: listed and cut. A flow that was translated to an endpoint that is gone would keep
//! going there for as long as packets come (UDP has no end).

use std::net::Ipv4Addr;

use super::Result;
use super::codec::{self, Batch, Message};
use super::nft::nfgen;
use super::socket::{Family, Socket};

const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_NEW: u16 = 0;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tuple {
    /// From this address
    pub source: Ipv4Addr,
    /// and port
    pub source_port: u16,
    /// to this address
    pub destination: Ipv4Addr,
    /// and port,
    pub destination_port: u16,
    /// by this transport protocol.
    pub protocol: u8,
}

/// A tracked connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// As its first packet was sent.
    pub original: Tuple,
    /// As answers to it are sent: its source is where the packets really go.
    pub reply: Tuple,
    /// Tells it from a later one of the same tuple.
    id: u32,
}

/// A socket for the tracked connections of one network namespace.
pub struct Conntrack(Socket);

// === impl Conntrack ===

impl Conntrack {
    /// Opens it in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn open() -> Result<Self> {
        Ok(Conntrack(Socket::open(Family::Netfilter)?))
    }

    /// The IPv4 flows that `wanted` accepts.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn flows(&mut self, wanted: impl Fn(&Flow) -> bool) -> Result<Vec<Flow>> {
        let request = |batch: &mut Batch, flags: u16| {
            let header = nfgen(libc::AF_INET as u8, 0);
            batch.push(message(IPCTNL_MSG_CT_GET), flags, "list connections", &header, |_| {});
        };
        self.0.dump(request, |kind, payload| {
            (kind == message(IPCTNL_MSG_CT_NEW)).then(|| parse(payload)).flatten().filter(|f| wanted(f))
        })
    }

    /// Cuts flows; one that is gone by now is no error.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete(&mut self, flows: &[Flow]) -> Result<()> {
        // Every request of a batch is answered when it fails, so batches stay below the receive buffer.
        for chunk in flows.chunks(64) {
            let mut batch = Batch::new();
            for flow in chunk {
                let header = nfgen(libc::AF_INET as u8, 0);
                batch.push(message(IPCTNL_MSG_CT_DELETE), 0, "delete connection", &header, |m| {
                    m.nest(CTA_TUPLE_ORIG, |m| write_tuple(m, &flow.original));
                    m.be32(CTA_ID, flow.id);
                });
            }
            let last = batch.len() - 1;
            let failures = self.0.execute_all(&mut batch, last)?;
            if let Some(error) = failures.into_iter().find(|e| !e.is_not_found()) {
                return Err(error);
            }
        }
        Ok(())
    }
}

fn message(kind: u16) -> u16 {
    NFNL_SUBSYS_CTNETLINK << 8 | kind
}

fn write_tuple(m: &mut Message<'_>, tuple: &Tuple) {
    m.nest(CTA_TUPLE_IP, |m| {
        m.ipv4(CTA_IP_V4_SRC, tuple.source);
        m.ipv4(CTA_IP_V4_DST, tuple.destination);
    });
    m.nest(CTA_TUPLE_PROTO, |m| {
        m.u8(CTA_PROTO_NUM, tuple.protocol);
        m.bytes(CTA_PROTO_SRC_PORT, &tuple.source_port.to_be_bytes());
        m.bytes(CTA_PROTO_DST_PORT, &tuple.destination_port.to_be_bytes());
    });
}

fn parse(payload: &[u8]) -> Option<Flow> {
    let attributes = payload.get(4..)?;
    Some(Flow {
        original: parse_tuple(codec::attribute(attributes, CTA_TUPLE_ORIG)?)?,
        reply: parse_tuple(codec::attribute(attributes, CTA_TUPLE_REPLY)?)?,
        id: u32::from_be_bytes(codec::attribute(attributes, CTA_ID)?.try_into().ok()?),
    })
}

/// `None` for what has no ports (ICMP).
fn parse_tuple(tuple: &[u8]) -> Option<Tuple> {
    let ip = codec::attribute(tuple, CTA_TUPLE_IP)?;
    let proto = codec::attribute(tuple, CTA_TUPLE_PROTO)?;
    let port =
        |kind| -> Option<u16> { Some(u16::from_be_bytes(codec::attribute(proto, kind)?.try_into().ok()?)) };
    Some(Tuple {
        source: codec::ipv4(codec::attribute(ip, CTA_IP_V4_SRC)?)?,
        source_port: port(CTA_PROTO_SRC_PORT)?,
        destination: codec::ipv4(codec::attribute(ip, CTA_IP_V4_DST)?)?,
        destination_port: port(CTA_PROTO_DST_PORT)?,
        protocol: *codec::attribute(proto, CTA_PROTO_NUM)?.first()?,
    })
}
