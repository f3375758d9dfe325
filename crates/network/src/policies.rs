//! The enforcement of policies: what is in the kernel, and the transaction that brings it to what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use cox_sys::netlink::{ElementChange, ElementData, Nft, Transaction, Verdict};

use crate::plan::{self, Place};
use crate::policy_rules::{self as rules, Direction};
use crate::{Allow, Error, Peer, PodPolicy, Policies, PoliciesApplied, Result};

/// The rules of a chain.
type Rules = (Direction, BTreeSet<Allow>);

/// The policies that are in the kernel.
#[derive(Default)]
pub(crate) struct Enforced {
    state: State,
    /// Chain of each element for an isolated pod.
    placed: BTreeMap<(Direction, Ipv4Addr), u32>,
    /// Whether what is in the kernel is what is written here.
    loaded: bool,
}

/// What doesn't depend on which pods are attached.
#[derive(Clone, Default)]
struct State {
    pods: BTreeMap<String, PodPolicy>,
    /// Elements of groups.
    members: BTreeSet<Place>,
    /// Groups and chains have ids that are never used again.
    ids_end: u32,
    peers: BTreeMap<String, u32>,
    endpoints: BTreeMap<String, u32>,
    chains: BTreeMap<Rules, u32>,
}

// === impl Enforced ===

impl Enforced {
    /// Brings the kernel to `desired`, for the pods that are `attached`: owner and address.
    ///
    /// # Errors
    /// A group that isn't there, or the kernel's refusal; then the next call writes everything anew.
    pub(crate) fn apply<'a>(
        &mut self,
        nft: &mut Nft,
        table: &str,
        desired: Policies,
        attached: impl Iterator<Item = (&'a str, Ipv4Addr)>,
    ) -> Result<PoliciesApplied> {
        let new = self.state.next(desired);
        let mut placed = BTreeMap::new();
        for (owner, ip) in attached {
            placed.extend(new.places(owner, ip));
        }
        let full = !self.loaded;
        let mut transaction = Transaction::new(table);
        let mut applied = PoliciesApplied { full, ..PoliciesApplied::default() };
        let (old, was) = if full {
            rules::write_table(&mut transaction);
            (&State::default(), &BTreeMap::new())
        } else {
            (&self.state, &self.placed)
        };
        for ((direction, allowed), id) in missing(&new.chains, &old.chains) {
            let name = rules::chain(*id);
            transaction.add_chain(&name, None);
            for rule in rules::chain_rules(*direction, allowed, |allow| new.group(allow))? {
                transaction.add_rule(&name, &rule);
            }
            applied.chains += 1;
        }
        let removed = old.members.difference(&new.members).map(|place| (place.clone(), ElementData::None));
        let added = new.members.difference(&old.members).map(|place| (place.clone(), ElementData::None));
        let removed = removed.chain(elements(&missing(was, &placed), &placed)).collect();
        let added = added.chain(elements(&missing(&placed, was), was)).collect();
        applied.elements = write(&mut transaction, &removed, &added);
        for (_, id) in missing(&old.chains, &new.chains) {
            transaction.del_chain(&rules::chain(*id));
            applied.chains += 1;
        }
        // A table that is not as it should be is written anew.
        self.loaded = false;
        nft.commit(transaction).map_err(Error::netlink("write policies"))?;
        self.loaded = true;
        (self.state, self.placed) = (new, placed);
        Ok(applied)
    }

    /// Puts what is known of a pod into force, before anybody knows its address.
    ///
    /// # Errors
    /// The kernel's refusal: then the pod must not be started.
    pub(crate) fn attach(&mut self, nft: &mut Nft, table: &str, owner: &str, ip: Ipv4Addr) -> Result<()> {
        let new = self.state.places(owner, ip).into_iter().collect();
        self.place(nft, table, ip, new)
    }

    /// Forgets a pod that no longer runs.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub(crate) fn detach(&mut self, nft: &mut Nft, table: &str, ip: Ipv4Addr) -> Result<()> {
        self.place(nft, table, ip, BTreeMap::new())
    }

    fn place(
        &mut self,
        nft: &mut Nft,
        table: &str,
        ip: Ipv4Addr,
        new: BTreeMap<(Direction, Ipv4Addr), u32>,
    ) -> Result<()> {
        let of_pod = |(place, id): (&(Direction, Ipv4Addr), &u32)| (place.1 == ip).then_some((*place, *id));
        let old: BTreeMap<_, _> = self.placed.iter().filter_map(of_pod).collect();
        let mut transaction = Transaction::new(table);
        let removed = elements(&missing(&old, &new), &new).collect();
        let added = elements(&missing(&new, &old), &old).collect();
        write(&mut transaction, &removed, &added);
        nft.commit(transaction).map_err(Error::netlink("write the pod's policies"))?;
        self.placed.retain(|place, _| place.1 != ip);
        self.placed.extend(new);
        Ok(())
    }
}

// === impl State ===

impl State {
    /// What is wanted, with the ids that are known.
    fn next(&self, desired: Policies) -> State {
        let Policies { peers, endpoints, pods } = desired;
        let mut ids_end = self.ids_end;
        let mut id = |known: Option<&u32>| {
            known.copied().unwrap_or_else(|| {
                ids_end += 1;
                ids_end - 1
            })
        };
        let mut new = State { pods, ..State::default() };
        for (name, members) in peers {
            let id = id(self.peers.get(&name));
            new.members.extend(members.iter().filter_map(|ip| {
                let IpAddr::V4(ip) = ip else { return None };
                Some((rules::PEERS, [id.to_ne_bytes(), ip.octets()].concat()))
            }));
            new.peers.insert(name, id);
        }
        for (name, members) in endpoints {
            let id = id(self.endpoints.get(&name));
            new.members.extend(members.iter().filter_map(|(ip, protocol, port)| {
                let IpAddr::V4(ip) = ip else { return None };
                let key = [&id.to_ne_bytes()[..], &plan::vip(*ip, *protocol, *port)].concat();
                Some((rules::ENDPOINTS, key))
            }));
            new.endpoints.insert(name, id);
        }
        for pod in new.pods.values() {
            for rules in isolations(pod) {
                let known = self.chains.get(&rules);
                new.chains.entry(rules).or_insert_with(|| id(known));
            }
        }
        new.ids_end = ids_end;
        new
    }

    fn group(&self, allow: &Allow) -> Option<u32> {
        match allow {
            Allow::Endpoints(name) => self.endpoints.get(name).copied(),
            Allow::Connections { peer: Peer::Group(name), .. } => self.peers.get(name).copied(),
            Allow::Connections { .. } => None,
        }
    }

    /// The chains for a pod with this address.
    fn places(&self, owner: &str, ip: Ipv4Addr) -> Vec<((Direction, Ipv4Addr), u32)> {
        let Some(pod) = self.pods.get(owner) else { return Vec::new() };
        isolations(pod).filter_map(|rules| Some(((rules.0, ip), *self.chains.get(&rules)?))).collect()
    }
}

/// What the pod is isolated for.
fn isolations(pod: &PodPolicy) -> impl Iterator<Item = Rules> + use<> {
    let egress = pod.egress.clone().map(|allowed| (Direction::Egress, allowed));
    let ingress = pod.ingress.clone().map(|allowed| (Direction::Ingress, allowed));
    egress.into_iter().chain(ingress)
}

/// Entries of `of` that `than` lacks or has with another value.
fn missing<'a, K: Ord, V: PartialEq>(
    of: &'a BTreeMap<K, V>,
    than: &BTreeMap<K, V>,
) -> BTreeMap<&'a K, &'a V> {
    of.iter().filter(|(key, value)| than.get(key) != Some(value)).collect()
}

/// The elements behind places. A pod's [`rules::ITSELF`] comes with its first place and goes with its last: the
/// `others` are the places of the other side of the change.
fn elements(
    places: &BTreeMap<&(Direction, Ipv4Addr), &u32>,
    others: &BTreeMap<(Direction, Ipv4Addr), u32>,
) -> impl Iterator<Item = (Place, ElementData)> + use<> {
    let mut elements = Vec::new();
    for ((direction, ip), id) in places {
        let verdict = Verdict::Jump(rules::chain(**id).into());
        elements.push(((direction.map(), ip.octets().to_vec()), ElementData::Verdict(verdict)));
        let known =
            [Direction::Egress, Direction::Ingress].iter().any(|way| others.contains_key(&(*way, *ip)));
        if !known {
            let twice = [ip.octets(), ip.octets()].concat();
            elements.push(((rules::ITSELF, twice), ElementData::None));
        }
    }
    elements.into_iter()
}

/// Writes elements that go and then those that come, and answers with their number.
fn write(
    transaction: &mut Transaction,
    removed: &BTreeMap<Place, ElementData>,
    added: &BTreeMap<Place, ElementData>,
) -> usize {
    for (change, elements) in [(ElementChange::Delete, removed), (ElementChange::Add, added)] {
        let elements: Vec<(&Place, &ElementData)> = elements.iter().collect();
        for group in elements.chunk_by(|a, b| a.0.0 == b.0.0) {
            let set = group[0].0.0;
            transaction.elements(set, change, group.iter().map(|(place, data)| (&place.1[..], *data)));
        }
    }
    removed.len() + added.len()
}
