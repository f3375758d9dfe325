//! The nftables table of policies: a table of its own, so that writing services anew never opens a pod.
//!
//! A packet that starts a connection is judged where the node forwards it: after the translation of services, before
//! masquerading. So egress sees the pod behind a service, ingress the pod that asks. What the node itself sends and
//! receives isn't forwarded, and never judged. Replies are let through by connection tracking.
//!
//! An isolated pod is an element that leads from its address to a chain; pods with the same rules share the chain.
//! A chain returns where the packet is allowed, and drops at its end. Peers are elements of one set under the id of
//! their group, so that a pod that comes or goes is an element, whatever the number of rules.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use cox_sys::netlink::{Base, Ct, Expr, FieldType, Hook, Meta, Reg, Set, SetData, Transaction, Verdict};

use crate::cidr::mask_v4;
use crate::rules::{Prefix, address_in, base, bit_set, cat, twice};
use crate::{Allow, Cidr, Error, Peer, Ports, Protocol, Result};

/// Kept with the table; see [`crate::rules::LAYOUT`].
const LAYOUT: &[u8] = b"cox policies 1\0";
/// State bits of packets of connections that were let through: established, related.
const STATE_KNOWN: u32 = 2 | 4;
const CHAIN: &str = "policies";

/// Address of a pod that is isolated for egress -> the chain that judges.
pub(crate) const EGRESS: &str = "egress";
/// The same for ingress.
pub(crate) const INGRESS: &str = "ingress";
/// Addresses of isolated pods, twice: a pod may always reach itself.
pub(crate) const ITSELF: &str = "itself";
/// Id of a group, address.
pub(crate) const PEERS: &str = "peers";
/// Id of a group, address, protocol, port.
pub(crate) const ENDPOINTS: &str = "endpoints";

const SETS: &[Set] = &[
    Set { name: EGRESS, key: &[FieldType::Ipv4], data: SetData::Verdict, dynamic: None },
    Set { name: INGRESS, key: &[FieldType::Ipv4], data: SetData::Verdict, dynamic: None },
    Set { name: ITSELF, key: &[FieldType::Ipv4, FieldType::Ipv4], data: SetData::None, dynamic: None },
    Set { name: PEERS, key: &[FieldType::Mark, FieldType::Ipv4], data: SetData::None, dynamic: None },
    Set {
        name: ENDPOINTS,
        key: &[FieldType::Mark, FieldType::Ipv4, FieldType::Protocol, FieldType::Port],
        data: SetData::None,
        dynamic: None,
    },
];

/// Which way connections go, seen from the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    Egress,
    Ingress,
}

impl Direction {
    /// The map of isolated pods.
    pub(crate) fn map(self) -> &'static str {
        match self {
            Direction::Egress => EGRESS,
            Direction::Ingress => INGRESS,
        }
    }

    /// Where the IP header has the address of the peer.
    fn peer_offset(self) -> u32 {
        match self {
            Direction::Egress => 16,
            Direction::Ingress => 12,
        }
    }
}

/// Writes the table without elements and without the chains of pods. What was in a table of that name is gone.
pub(crate) fn write_table(transaction: &mut Transaction) {
    // Deleting needs a table to be there.
    transaction.add_table(&[]);
    transaction.del_table();
    transaction.add_table(LAYOUT);
    for set in SETS {
        transaction.add_set(set);
    }
    // After the chain that refuses connections to services without endpoints.
    transaction.add_chain(CHAIN, Some(base("filter", Hook::Forward, 10)));
    let accept = || vec![Expr::Verdict(Verdict::Accept)];
    let known = cat([vec![Expr::Ct { to: 0, key: Ct::State }], bit_set(0, STATE_KNOWN), accept()]);
    transaction.add_rule(CHAIN, &known);
    let itself = Expr::InSet { key: 0, set: ITSELF, inverted: false };
    transaction.add_rule(CHAIN, &cat([twice(), vec![itself], accept()]));
    for (offset, map) in [(12, EGRESS), (16, INGRESS)] {
        let judge = Expr::VerdictMap { key: 0, map };
        transaction.add_rule(CHAIN, &[address(0, offset), judge]);
    }
}

/// The name of a chain.
pub(crate) fn chain(id: u32) -> String {
    format!("pods-{id}")
}

/// The rules of a chain that lets through what is allowed and nothing else. `group` answers with the id of a group.
///
/// # Errors
/// A group that isn't there.
pub(crate) fn chain_rules(
    direction: Direction,
    allowed: &BTreeSet<Allow>,
    group: impl Fn(&Allow) -> Option<u32>,
) -> Result<Vec<Vec<Expr>>> {
    let offset = direction.peer_offset();
    let pass = || vec![Expr::Verdict(Verdict::Return)];
    let load = |id: u32| Expr::Load { to: 0, value: id.to_ne_bytes().to_vec() };
    let missing =
        |name: &str| Error::Invalid { field: "policies", reason: format!("there is no group {name}") };
    let mut rules = Vec::new();
    for allow in allowed {
        match allow {
            Allow::Endpoints(name) => {
                let id = group(allow).ok_or_else(|| missing(name))?;
                let key = vec![load(id), address(1, offset), protocol(2), port(3)];
                rules.push(cat([key, vec![within(ENDPOINTS)], pass()]));
            }
            Allow::Connections { peer: Peer::Anyone, ports } => rules.push(cat([of(*ports), pass()])),
            Allow::Connections { peer: Peer::Group(name), ports } => {
                let id = group(allow).ok_or_else(|| missing(name))?;
                rules.push(cat([of(*ports), vec![load(id), address(1, offset), within(PEERS)], pass()]));
            }
            Allow::Connections { peer: Peer::Block { cidr, except }, ports } => {
                for prefix in without(cidr, except) {
                    rules.push(cat([of(*ports), address_in(offset, prefix, true), pass()]));
                }
            }
        }
    }
    rules.push(vec![Expr::Verdict(Verdict::Drop)]);
    Ok(rules)
}

fn address(to: Reg, offset: u32) -> Expr {
    Expr::Payload { to, base: Base::Network, offset, length: 4 }
}

fn protocol(to: Reg) -> Expr {
    Expr::Meta { to, key: Meta::Protocol }
}

fn port(to: Reg) -> Expr {
    Expr::Payload { to, base: Base::Transport, offset: 2, length: 2 }
}

fn within(set: &'static str) -> Expr {
    Expr::InSet { key: 0, set, inverted: false }
}

/// Goes on for packets to these ports.
fn of(ports: Ports) -> Vec<Expr> {
    let is = |number: Protocol| {
        vec![protocol(0), Expr::Compare { register: 0, equal: true, value: vec![number.number()] }]
    };
    match ports {
        Ports::All => Vec::new(),
        Ports::Protocol(protocol) => is(protocol),
        Ports::Range { protocol, first, last } => {
            let bytes = |port: u16| port.to_be_bytes().to_vec();
            let range = Expr::Between { register: 0, first: bytes(first), last: bytes(last) };
            cat([is(protocol), vec![port(0), range]])
        }
    }
}

/// The prefixes that make up a block without some smaller ones. A rule has no room for any number of exceptions, and
/// takes one prefix in any case.
fn without(cidr: &Cidr, except: &BTreeSet<Cidr>) -> Vec<Prefix> {
    let Ok(whole) = cidr.v4("ipBlock") else { return Vec::new() };
    let holes: Vec<&Cidr> = except.iter().filter(|hole| hole.overlaps(cidr)).collect();
    let mut prefixes = Vec::new();
    split(whole, &holes, &mut prefixes);
    prefixes
}

fn split((first, length): Prefix, holes: &[&Cidr], prefixes: &mut Vec<Prefix>) {
    let Some(this) = Cidr::new(first.into(), length) else { return };
    if holes.iter().any(|hole| hole.covers(&this)) {
        return;
    }
    let inside: Vec<&Cidr> = holes.iter().copied().filter(|hole| hole.overlaps(&this)).collect();
    if inside.is_empty() {
        return prefixes.push((first, length));
    }
    // A hole lies within, so the prefix isn't a single address.
    let half = Ipv4Addr::from_bits(first.to_bits() | (mask_v4(length + 1) & !mask_v4(length)));
    split((first, length + 1), &inside, prefixes);
    split((half, length + 1), &inside, prefixes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn exceptions_are_left_out() {
        for (block, except, expected) in [
            ("10.0.0.0/8", &[][..], vec!["10.0.0.0/8"]),
            ("10.0.0.0/30", &["10.0.0.1/32"], vec!["10.0.0.0/32", "10.0.0.2/31"]),
            ("10.0.0.0/30", &["10.0.0.0/31", "10.0.0.3/32"], vec!["10.0.0.2/32"]),
            ("10.0.0.0/31", &["10.0.0.0/32", "10.0.0.1/32"], vec![]),
            ("10.0.0.0/24", &["11.0.0.0/24"], vec!["10.0.0.0/24"]),
            ("0.0.0.0/0", &["128.0.0.0/1", "64.0.0.0/2"], vec!["0.0.0.0/2"]),
            ("2001:db8::/32", &[], vec![]),
        ] {
            let except = except.iter().map(|text| cidr(text)).collect();
            let found: Vec<String> = without(&cidr(block), &except)
                .iter()
                .map(|(first, length)| format!("{first}/{length}"))
                .collect();
            assert_eq!(found, expected, "{block} without {except:?}");
        }
    }

    #[test]
    fn a_chain_without_rules_drops() {
        let rules = chain_rules(Direction::Ingress, &BTreeSet::new(), |_| None).unwrap();
        assert_eq!(rules, [[Expr::Verdict(Verdict::Drop)]]);
    }

    #[test]
    fn a_group_that_is_missing_is_a_fault() {
        let allow = Allow::Connections { peer: Peer::Group("a".into()), ports: Ports::All };
        let error = chain_rules(Direction::Egress, &BTreeSet::from([allow]), |_| None).unwrap_err();
        assert_eq!(error.to_string(), "policies: there is no group a");
    }
}
