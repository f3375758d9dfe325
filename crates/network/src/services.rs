//! The forwarding of services: what is in the kernel, and the transaction that brings it to what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use cox_sys::netlink::{Conntrack, ElementChange, ElementData, Flow, Nft, Transaction};

use crate::plan::{self, Place, Plan};
use crate::rules::{self, Chain, Prefixes};
use crate::{Applied, Error, Protocol, Result, ServicePort, ServicePortKey, cidr};

/// Services one node forwards to at most: their ids are 32 bits, and everything is held in kernel memory.
const SERVICE_PORTS_MAX: usize = 100_000;

struct Entry {
    service: ServicePort,
    id: u32,
}

/// The services that are in the kernel.
#[derive(Default)]
pub(crate) struct Services {
    applied: BTreeMap<ServicePortKey, Entry>,
    /// How many service ports want an element that one alone does not own.
    shared: BTreeMap<Place, usize>,
    /// How many service ports lead to a chain.
    chains: BTreeMap<Chain, usize>,
    /// Ids are even and below this.
    ids_end: u32,
    ids_free: BTreeSet<u32>,
    /// Whether what is in the kernel was written by this process.
    loaded: bool,
}

/// The way from what is in the kernel to what is wanted.
#[derive(Default)]
struct Delta {
    removed: BTreeMap<Place, ElementData>,
    added: BTreeMap<Place, ElementData>,
    shared: BTreeMap<Place, isize>,
    chains: BTreeMap<Chain, isize>,
    /// UDP addresses whose flows may only go to these endpoints from now on.
    udp: Udp,
}

#[derive(Default)]
struct Udp {
    addresses: BTreeMap<(Ipv4Addr, u16), BTreeSet<(Ipv4Addr, u16)>>,
    node_ports: BTreeMap<u16, BTreeSet<(Ipv4Addr, u16)>>,
}

// === impl Services ===

impl Services {
    /// Brings the kernel to `desired`. `base` writes what else belongs into a table written anew.
    pub fn apply(
        &mut self,
        nft: &mut Nft,
        table: &str,
        prefixes: &Prefixes,
        desired: BTreeMap<ServicePortKey, ServicePort>,
        base: impl FnOnce(&mut Transaction),
    ) -> Result<Applied> {
        if desired.len() > SERVICE_PORTS_MAX {
            let reason = format!("{} ports of services, at most {SERVICE_PORTS_MAX}", desired.len());
            return Err(Error::Invalid { field: "services", reason });
        }
        let (desired, refused) = servable(desired);
        let full = !self.loaded;
        let mut ids_free = self.ids_free.clone();
        let mut ids_end = self.ids_end;
        let mut delta = Delta::default();
        // Ids given back are free for the next call only: within one transaction the old lists still stand.
        let mut ids_back = Vec::new();
        let mut updates: Vec<(ServicePortKey, Option<Entry>)> = Vec::new();

        for (key, entry) in &self.applied {
            if !desired.contains_key(key) {
                let old = plan::plan(&entry.service, key.protocol, entry.id, prefixes.pods)?;
                delta.count(key, Some((&entry.service, &old)), None);
                ids_back.push(entry.id);
                updates.push((key.clone(), None));
            }
        }
        for (key, service) in desired {
            let current = self.applied.get(&key);
            if current.is_some_and(|entry| entry.service == service) {
                continue;
            }
            let id = match current {
                Some(entry) => entry.id,
                None => ids_free.pop_first().unwrap_or_else(|| {
                    ids_end += 2;
                    ids_end - 2
                }),
            };
            let new = plan::plan(&service, key.protocol, id, prefixes.pods)?;
            let old = match current {
                Some(entry) => Some(plan::plan(&entry.service, key.protocol, entry.id, prefixes.pods)?),
                None => None,
            };
            delta.count(&key, current.map(|e| &e.service).zip(old.as_ref()), Some((&service, &new)));
            updates.push((key, Some(Entry { service, id })));
        }

        let mut transaction = Transaction::new(table);
        if full {
            rules::write_table(&mut transaction, prefixes);
            base(&mut transaction);
        }
        let elements = self.write(&mut transaction, delta.settle(), prefixes);
        let mut applied = Applied { changed: updates.len(), elements, full, flows_cut: 0, refused };
        nft.commit(transaction).map_err(Error::netlink("write services"))?;

        // The kernel has it: from here on nothing may fail.
        self.loaded = true;
        add_counts(&mut self.shared, &delta.shared);
        add_counts(&mut self.chains, &delta.chains);
        ids_free.extend(ids_back);
        (self.ids_free, self.ids_end) = (ids_free, ids_end);
        for (key, entry) in updates {
            match entry {
                Some(entry) => self.applied.insert(key, entry),
                None => self.applied.remove(&key),
            };
        }
        applied.flows_cut = delta.udp.cut();
        Ok(applied)
    }

    /// Writes chains and elements into the transaction in the order that references need.
    fn write(&self, transaction: &mut Transaction, delta: &Delta, prefixes: &Prefixes) -> usize {
        let count = |chain: &Chain| self.chains.get(chain).copied().unwrap_or(0) as isize;
        let added: Vec<&Chain> =
            delta.chains.iter().filter(|(c, n)| count(c) == 0 && **n > 0).map(|(c, _)| c).collect();
        for chain in &added {
            transaction.add_chain(&chain.name(), None);
        }
        for chain in &added {
            for rule in chain.rules(prefixes) {
                transaction.add_rule(&chain.name(), &rule);
            }
        }

        let none = ElementData::None;
        let held = |place: &Place| self.shared.get(place).copied().unwrap_or(0) as isize;
        let mut removed: Vec<(&Place, &ElementData)> = delta.removed.iter().collect();
        let mut inserted: Vec<(&Place, &ElementData)> = delta.added.iter().collect();
        for (place, change) in &delta.shared {
            match (held(place), held(place) + change) {
                (0, after) if after > 0 => inserted.push((place, &none)),
                (before, 0) if before > 0 => removed.push((place, &none)),
                _ => {}
            }
        }
        write_elements(transaction, ElementChange::Delete, &removed);
        write_elements(transaction, ElementChange::Add, &inserted);

        let gone: Vec<&Chain> = delta
            .chains
            .iter()
            .filter(|(c, n)| count(c) > 0 && count(c) + **n == 0)
            .map(|(c, _)| c)
            .collect();
        // A chain is deleted after those that lead to it.
        for chain in &gone {
            transaction.flush_chain(&chain.name());
        }
        for chain in &gone {
            transaction.del_chain(&chain.name());
        }
        removed.len() + inserted.len()
    }
}

/// One message per set (or several, when they are many).
fn write_elements(transaction: &mut Transaction, change: ElementChange, elements: &[(&Place, &ElementData)]) {
    for group in elements.chunk_by(|a, b| a.0.0 == b.0.0) {
        let set = group[0].0.0;
        transaction.elements(set, change, group.iter().map(|(place, data)| (&place.1[..], *data)));
    }
}

fn add_counts<T: Ord + Clone>(counts: &mut BTreeMap<T, usize>, changes: &BTreeMap<T, isize>) {
    for (key, change) in changes {
        let count = counts.get(key).copied().unwrap_or(0);
        match count.checked_add_signed(*change) {
            None | Some(0) => {
                counts.remove(key);
            }
            Some(count) => {
                counts.insert(key.clone(), count);
            }
        }
    }
}

// === impl Delta ===

impl Delta {
    /// Adds the step of one service port.
    fn count(
        &mut self,
        key: &ServicePortKey,
        old: Option<(&ServicePort, &Plan)>,
        new: Option<(&ServicePort, &Plan)>,
    ) {
        for (side, step) in [(old, -1), (new, 1)] {
            let Some((_, plan)) = side else { continue };
            for place in &plan.shared {
                *self.shared.entry(place.clone()).or_default() += step;
            }
            let mut chains: BTreeSet<Chain> = BTreeSet::new();
            let mut todo: Vec<Chain> = plan.chains.iter().cloned().collect();
            while let Some(chain) = todo.pop() {
                todo.extend(chain.leads_to());
                chains.insert(chain);
            }
            for chain in chains {
                *self.chains.entry(chain).or_default() += step;
            }
            let elements = plan.elements.iter().map(|(p, d)| (p.clone(), d.clone()));
            if step < 0 { self.removed.extend(elements) } else { self.added.extend(elements) }
        }
        if key.protocol == Protocol::Udp {
            for (service, plan) in [old, new].into_iter().flatten() {
                self.udp.expect(service, &BTreeSet::new());
                if new.is_some_and(|(current, _)| std::ptr::eq(current, service)) {
                    self.udp.expect(service, &plan.endpoints);
                }
            }
        }
    }

    /// Drops elements that go and come back the same.
    fn settle(&mut self) -> &Self {
        let same: Vec<Place> = self
            .removed
            .iter()
            .filter(|(place, data)| self.added.get(*place) == Some(*data))
            .map(|(place, _)| place.clone())
            .collect();
        for place in same {
            self.removed.remove(&place);
            self.added.remove(&place);
        }
        self
    }
}

// === impl Udp ===

impl Udp {
    fn expect(&mut self, service: &ServicePort, endpoints: &BTreeSet<(Ipv4Addr, u16)>) {
        let all = [&service.cluster_ips, &service.external_ips, &service.load_balancer_ips];
        for ip in all.into_iter().flatten() {
            if let Ok(ip) = cidr::v4(*ip, "") {
                self.addresses.insert((ip, service.port), endpoints.clone());
            }
        }
        if let Some(port) = service.node_port {
            self.node_ports.insert(port, endpoints.clone());
        }
    }

    fn is_stale(&self, flow: &Flow) -> bool {
        if flow.original.protocol != Protocol::Udp.number() {
            return false;
        }
        let goes_to = (flow.reply.source, flow.reply.source_port);
        let asked_for = (flow.original.destination, flow.original.destination_port);
        if let Some(endpoints) = self.addresses.get(&asked_for) {
            return !endpoints.contains(&goes_to);
        }
        let translated = goes_to != asked_for;
        self.node_ports.get(&asked_for.1).is_some_and(|e| translated && !e.contains(&goes_to))
    }

    /// Cuts the flows that go elsewhere. Failing at it must not fail the change that is already made.
    fn cut(&self) -> usize {
        if self.addresses.is_empty() && self.node_ports.is_empty() {
            return 0;
        }
        cut_flows(|flow| self.is_stale(flow))
    }
}

/// Cuts the flows that `stale` accepts, and answers with their number.
pub(crate) fn cut_flows(stale: impl Fn(&Flow) -> bool) -> usize {
    let cut = || -> cox_sys::netlink::Result<usize> {
        let mut conntrack = Conntrack::open()?;
        let flows = conntrack.flows(stale)?;
        conntrack.delete(&flows)?;
        Ok(flows.len())
    };
    cut().unwrap_or_else(|error| {
        tracing::warn!(%error, "stale UDP flows could not be cut");
        0
    })
}

/// Takes out of `desired` what can't be forwarded, and says what and why: services with values that can't be
/// served, and addresses (and node ports) that an earlier service claims. The API server lets two Services have
/// one external IP and port, and none of this may stop all others from being forwarded.
fn servable(
    desired: BTreeMap<ServicePortKey, ServicePort>,
) -> (BTreeMap<ServicePortKey, ServicePort>, Vec<(ServicePortKey, String)>) {
    let mut addresses = BTreeSet::new();
    let mut node_ports = BTreeSet::new();
    let mut servable = BTreeMap::new();
    let mut refused = Vec::new();
    for (key, mut service) in desired {
        if let Err(error) = plan::check(&service) {
            refused.push((key, error.to_string()));
            continue;
        }
        let port = service.port;
        for list in [&mut service.cluster_ips, &mut service.external_ips, &mut service.load_balancer_ips] {
            list.retain(|ip| {
                let free = addresses.insert((*ip, key.protocol, port));
                if !free {
                    refused.push((key.clone(), format!("{ip}:{port} is taken by another service")));
                }
                free
            });
        }
        if let Some(port) = service.node_port
            && !node_ports.insert((key.protocol, port))
        {
            refused.push((key.clone(), format!("node port {port} is taken by another service")));
            service.node_port = None;
        }
        servable.insert(key, service);
    }
    (servable, refused)
}
