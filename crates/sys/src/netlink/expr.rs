//! The expressions that rules are made of. A rule is a sequence of them; one that doesn't match ends the rule.

use std::borrow::Cow;
use std::time::Duration;

use super::codec::Message;
use super::nft::Verdict;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
pub(super) const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const NFT_REG_VERDICT: u32 = 0;
const NFT_REG32_00: u32 = 8;
const NFT_FIB_RESULT_ADDRTYPE: u32 = 3;
const NF_NAT_RANGE_PROTO_RANDOM_FULLY: u32 = 1 << 4;
const ICMP_PORT_UNREACHABLE: u8 = 3;

/// One of the sixteen registers of four bytes, numbered from 0. Longer values take the ones that follow.
pub type Reg = u8;

/// Facts about a packet that are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Meta {
    /// The packet's mark, in the machine's order.
    Mark = 3,
    /// Index of the interface it came by.
    InInterface = 4,
    /// Index of the interface it leaves by.
    OutInterface = 5,
    /// Its transport protocol.
    Protocol = 16,
}

/// Facts about a packet's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Ct {
    /// Its state, one bit each: established 2, related 4, new 8.
    State = 0,
    /// `IPS_*` bits, such as 32 for a destination that was translated.
    Status = 2,
}

/// Where offsets into a packet count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Base {
    /// The IP header.
    Network = 1,
    /// The transport header.
    Transport = 2,
}

/// Which address a lookup in the routing tables is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FibAddress {
    /// The source.
    Source = 1,
    /// The destination.
    Destination = 2,
}

/// One step of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// Loads bytes of the packet.
    Payload {
        /// Into this register.
        to: Reg,
        /// Counted from here,
        base: Base,
        /// in bytes,
        offset: u32,
        /// this many.
        length: u32,
    },
    /// Loads a fact.
    Meta {
        /// Into this register.
        to: Reg,
        /// The fact.
        key: Meta,
    },
    /// Sets the packet's mark from a register.
    SetMark {
        /// The register.
        from: Reg,
    },
    /// Loads a fact of the connection.
    Ct {
        /// Into this register.
        to: Reg,
        /// The fact.
        key: Ct,
    },
    /// Loads what kind of address one is (`RTN_*`, 2 for this machine's own).
    AddressType {
        /// Into this register.
        to: Reg,
        /// Of this address.
        of: FibAddress,
    },
    /// Goes on if the register equals the value (or differs from it).
    Compare {
        /// The register.
        register: Reg,
        /// Go on if they are equal, or if they are not.
        equal: bool,
        /// The value.
        value: Vec<u8>,
    },
    /// Goes on if the register, read as a number of the network's order, lies between two values or is one of them.
    Between {
        /// The register.
        register: Reg,
        /// The least value.
        first: Vec<u8>,
        /// The greatest, of the same length.
        last: Vec<u8>,
    },
    /// `to = (from & mask) ^ xor`.
    Bitwise {
        /// Source register.
        from: Reg,
        /// Destination register.
        to: Reg,
        /// Bits to keep.
        mask: Vec<u8>,
        /// Bits to turn over.
        xor: Vec<u8>,
    },
    /// Loads a value.
    Load {
        /// Into this register.
        to: Reg,
        /// The value.
        value: Vec<u8>,
    },
    /// Goes on if the key is in the set (or is not).
    InSet {
        /// Register of the key.
        key: Reg,
        /// The set.
        set: &'static str,
        /// Go on if it is not in there.
        inverted: bool,
    },
    /// Loads what the key leads to; ends the rule if it isn't in the map.
    Map {
        /// Register of the key.
        key: Reg,
        /// The map.
        map: &'static str,
        /// Into this register.
        to: Reg,
    },
    /// Does what the key leads to; ends the rule if it isn't in the map.
    VerdictMap {
        /// Register of the key.
        key: Reg,
        /// The map.
        map: &'static str,
    },
    /// Adds an element to a dynamic map, or makes it live longer.
    Update {
        /// The map.
        map: &'static str,
        /// Register of the key.
        key: Reg,
        /// Register of the data.
        data: Reg,
        /// How long it lives from now.
        timeout: Duration,
    },
    /// Removes an element that rules added, if it is there: an [`Expr::Update`] does not change the data of
    /// one.
    Forget {
        /// The map.
        map: &'static str,
        /// Register of the key.
        key: Reg,
        /// Any register that holds as much as the map's data.
        data: Reg,
    },
    /// Loads a random number below `below`, in the machine's order.
    Random {
        /// Into this register.
        to: Reg,
        /// The bound.
        below: u32,
    },
    /// Translates the destination.
    Dnat {
        /// Register of the address.
        address: Reg,
        /// Register of the port.
        port: Reg,
    },
    /// Translates the source to an address of the interface that the packet leaves by.
    Masquerade,
    /// Refuses with ICMP port unreachable.
    Reject,
    /// Ends the rule with a verdict.
    Verdict(Verdict),
}

// === impl Verdict ===

impl Verdict {
    fn code(&self) -> i32 {
        match self {
            Verdict::Drop => 0,
            Verdict::Accept => 1,
            Verdict::Jump(_) => -3,
            Verdict::Goto(_) => -4,
            Verdict::Return => -5,
        }
    }

    fn chain(&self) -> Option<&Cow<'static, str>> {
        match self {
            Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
            Verdict::Drop | Verdict::Accept | Verdict::Return => None,
        }
    }
}

fn register(register: Reg) -> u32 {
    debug_assert!(register < 16);
    NFT_REG32_00 + u32::from(register)
}

pub(super) fn write_verdict(m: &mut Message<'_>, verdict: &Verdict) {
    m.nest(NFTA_DATA_VERDICT, |m| {
        m.be32(NFTA_VERDICT_CODE, verdict.code() as u32);
        if let Some(chain) = verdict.chain() {
            m.text(NFTA_VERDICT_CHAIN, chain);
        }
    });
}

pub(super) fn write(m: &mut Message<'_>, expr: &Expr) {
    m.nest(NFTA_LIST_ELEM, |m| match expr {
        Expr::Payload { to, base, offset, length } => named(m, "payload", |m| {
            m.be32(1, register(*to));
            m.be32(2, *base as u32);
            m.be32(3, *offset);
            m.be32(4, *length);
        }),
        Expr::Meta { to, key } => named(m, "meta", |m| {
            m.be32(1, register(*to));
            m.be32(2, *key as u32);
        }),
        Expr::SetMark { from } => named(m, "meta", |m| {
            m.be32(2, Meta::Mark as u32);
            m.be32(3, register(*from));
        }),
        Expr::Ct { to, key } => named(m, "ct", |m| {
            m.be32(1, register(*to));
            m.be32(2, *key as u32);
        }),
        Expr::AddressType { to, of } => named(m, "fib", |m| {
            m.be32(1, register(*to));
            m.be32(2, NFT_FIB_RESULT_ADDRTYPE);
            m.be32(3, *of as u32);
        }),
        Expr::Compare { register: r, equal, value } => named(m, "cmp", |m| {
            m.be32(1, register(*r));
            m.be32(2, u32::from(!*equal));
            m.nest(3, |m| m.bytes(NFTA_DATA_VALUE, value));
        }),
        Expr::Between { register: r, first, last } => named(m, "range", |m| {
            m.be32(1, register(*r));
            // 0: inside, not outside.
            m.be32(2, 0);
            m.nest(3, |m| m.bytes(NFTA_DATA_VALUE, first));
            m.nest(4, |m| m.bytes(NFTA_DATA_VALUE, last));
        }),
        Expr::Bitwise { from, to, mask, xor } => named(m, "bitwise", |m| {
            m.be32(1, register(*from));
            m.be32(2, register(*to));
            m.be32(3, mask.len() as u32);
            m.nest(4, |m| m.bytes(NFTA_DATA_VALUE, mask));
            m.nest(5, |m| m.bytes(NFTA_DATA_VALUE, xor));
        }),
        Expr::Load { to, value } => named(m, "immediate", |m| {
            m.be32(1, register(*to));
            m.nest(2, |m| m.bytes(NFTA_DATA_VALUE, value));
        }),
        Expr::InSet { key, set, inverted } => named(m, "lookup", |m| {
            m.text(1, set);
            m.be32(2, register(*key));
            m.be32(5, u32::from(*inverted));
        }),
        Expr::Map { key, map, to } => named(m, "lookup", |m| {
            m.text(1, map);
            m.be32(2, register(*key));
            m.be32(3, register(*to));
        }),
        Expr::VerdictMap { key, map } => named(m, "lookup", |m| {
            m.text(1, map);
            m.be32(2, register(*key));
            m.be32(3, NFT_REG_VERDICT);
        }),
        Expr::Update { map, key, data, timeout } => named(m, "dynset", |m| {
            m.text(1, map);
            // 1: update.
            m.be32(3, 1);
            m.be32(4, register(*key));
            m.be32(5, register(*data));
            m.be64(6, u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        }),
        Expr::Forget { map, key, data } => named(m, "dynset", |m| {
            m.text(1, map);
            // 2: delete.
            m.be32(3, 2);
            m.be32(4, register(*key));
            m.be32(5, register(*data));
        }),
        Expr::Random { to, below } => named(m, "numgen", |m| {
            m.be32(1, register(*to));
            m.be32(2, *below);
            // 1: random, not round robin.
            m.be32(3, 1);
        }),
        Expr::Dnat { address, port } => named(m, "nat", |m| {
            // 1: the destination.
            m.be32(1, 1);
            m.be32(2, libc::AF_INET as u32);
            m.be32(3, register(*address));
            m.be32(5, register(*port));
        }),
        Expr::Masquerade => named(m, "masq", |m| m.be32(1, NF_NAT_RANGE_PROTO_RANDOM_FULLY)),
        Expr::Reject => named(m, "reject", |m| {
            // 0: an ICMP unreachable message.
            m.be32(1, 0);
            m.u8(2, ICMP_PORT_UNREACHABLE);
        }),
        Expr::Verdict(verdict) => named(m, "immediate", |m| {
            m.be32(1, NFT_REG_VERDICT);
            m.nest(2, |m| write_verdict(m, verdict));
        }),
    });
}

fn named(m: &mut Message<'_>, name: &str, write: impl FnOnce(&mut Message<'_>)) {
    m.text(NFTA_EXPR_NAME, name);
    m.nest(NFTA_EXPR_DATA, write);
}
