//! The thread that owns a node's network: it takes requests one after another and keeps the books.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use cox_sys::netlink::{
    self, Batch, ElementChange, ElementData, LinkChange, LinkRef, Nft, Rtnl, Transaction, netns,
};
use tokio::sync::oneshot;

use crate::base;
use crate::builder::{self, Job};
use crate::cidr::v4;
use crate::node::Command;
use crate::pods::{Pods, check_owner};
use crate::policies::Enforced;
use crate::rules::{self, Prefixes};
use crate::services::{Services, cut_flows};
use crate::slot::SlotSpec;
use crate::{
    AttachRequest, Cidr, Error, HostPort, Netns, NodeNetConfig, PodNetwork, Protocol, Reconciled, Result,
    plan,
};

/// What reaches the thread.
pub(crate) enum Message {
    /// A caller's request.
    Command(Command),
    /// The builder has tried to make the slot at this offset.
    Built(u32, Result<()>),
    /// The builder has tried to unmake the slots at these offsets.
    Disposed(Vec<u32>, Result<()>),
}

type AttachReply = oneshot::Sender<Result<PodNetwork>>;

/// The books of one node.
pub(crate) struct Core {
    config: NodeNetConfig,
    spec: SlotSpec,
    prefixes: Prefixes,
    rtnl: Rtnl,
    nft: Nft,
    services: Services,
    policies: Enforced,
    pods: Pods,
    /// Every offset that is a pod's, ready, being built or being unmade.
    used: BTreeSet<u32>,
    /// Where the search for a free offset goes on: an address rests as long as possible before it is reused.
    next: u32,
    ready: VecDeque<u32>,
    building: usize,
    dying: usize,
    waiting: VecDeque<(AttachRequest, AttachReply)>,
    jobs: Sender<Job>,
    builder: Option<JoinHandle<()>>,
}

/// The thread's whole life.
pub(crate) fn run(
    config: NodeNetConfig,
    inbox: &Receiver<Message>,
    outbox: Sender<Message>,
    started: oneshot::Sender<Result<()>>,
) {
    let mut core = match Core::start(config, outbox) {
        Ok(core) => core,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    core.refill();
    let _ = started.send(Ok(()));
    for message in inbox {
        match message {
            Message::Command(Command::Close(reply)) => {
                core.stop();
                let _ = reply.send(Ok(()));
                return;
            }
            Message::Command(command) => core.command(command),
            Message::Built(offset, result) => core.built(offset, result),
            Message::Disposed(offsets, result) => core.disposed(&offsets, result),
        }
    }
}

// === impl Core ===

impl Core {
    fn start(config: NodeNetConfig, outbox: Sender<Message>) -> Result<Self> {
        if let Netns::Path(path) = &config.netns {
            let file = netns::open(path).map_err(Error::netlink("open node's network namespace"))?;
            netns::enter(file.as_fd()).map_err(Error::netlink("enter node's network namespace"))?;
        }
        let pins = config.state_dir.join("netns");
        fs::create_dir_all(&pins).map_err(Error::file("create", &pins))?;
        let pods = Pods::load(config.state_dir.join("pods"))?;
        let mut rtnl = Rtnl::open().map_err(Error::netlink("open rtnetlink"))?;
        let nft = Nft::open().map_err(Error::netlink("open nf_tables"))?;
        base::bring_up(&config, &mut rtnl)?;

        let spec = SlotSpec::new(&config);
        let (jobs, queue) = channel();
        let builder = std::thread::Builder::new()
            .name(format!("net-slots-{}", config.id))
            .spawn({
                let spec = spec.clone();
                move || {
                    if let Err(error) = builder::run(spec, &queue, &outbox) {
                        tracing::error!(%error, "pod networks can't be made");
                    }
                }
            })
            .map_err(Error::file("start thread for", &config.state_dir))?;
        let prefixes = Prefixes {
            pods: config.pod_cidr.v4("podCIDR")?,
            cluster: config.cluster_cidr.v4("clusterCIDR")?,
            services: vec![config.service_cidr.v4("serviceCIDR")?],
        };
        let mut core = Core {
            next: spec.offsets().start,
            config,
            spec,
            prefixes,
            rtnl,
            nft,
            services: Services::default(),
            policies: Enforced::default(),
            pods,
            used: BTreeSet::new(),
            ready: VecDeque::new(),
            building: 0,
            dying: 0,
            waiting: VecDeque::new(),
            jobs,
            builder: Some(builder),
        };
        core.find_slots()?;
        core.find_table()?;
        Ok(core)
    }

    /// Sorts what an earlier process left into pods, ready slots and remains.
    fn find_slots(&mut self) -> Result<()> {
        let mut whole = BTreeSet::new();
        let mut remains = BTreeSet::new();
        for link in self.rtnl.links().map_err(Error::netlink("list interfaces"))? {
            let Some(offset) = self.config.id.pod_link_offset(&link.name) else { continue };
            let pinned = netns::is_pinned(&self.spec.netns_path(offset))
                .map_err(Error::netlink("find network namespace"))?;
            if self.spec.offsets().contains(&offset) && self.spec.is_whole(&link) && pinned {
                whole.insert((offset, link.mtu == self.config.mtu));
            } else {
                remains.insert(offset);
            }
        }
        let is_whole = |offset| whole.contains(&(offset, true)) || whole.contains(&(offset, false));
        let mut broken = Vec::new();
        for pod in self.pods.all() {
            match self.spec.offset(pod.ip) {
                Some(offset) if is_whole(offset) && self.used.insert(offset) => {}
                _ => broken.push(pod.owner.clone()),
            }
        }
        for owner in broken {
            tracing::warn!(owner, "the pod's network is gone");
            self.pods.remove(&owner)?;
        }
        for (offset, fits) in whole {
            if self.used.contains(&offset) {
                continue;
            }
            if fits && self.ready.len() < self.config.ready_slots {
                self.used.insert(offset);
                self.ready.push_back(offset);
            } else {
                remains.insert(offset);
            }
        }
        for path in base::entries(&self.config.state_dir.join("netns"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match name.parse::<IpAddr>().ok().and_then(|ip| self.spec.offset(ip)) {
                Some(offset) if self.used.contains(&offset) => {}
                Some(offset) => {
                    remains.insert(offset);
                }
                None => netns::unpin(&path).map_err(Error::netlink("unpin network namespace"))?,
            }
        }
        for offset in remains {
            self.dispose(offset);
        }
        Ok(())
    }

    /// Goes on with the nftables table of an earlier process, whose services stay in force until the first
    /// [`Command::Services`], or writes a new one.
    fn find_table(&mut self) -> Result<()> {
        let name = self.config.id.table();
        let mark = self.nft.table(&name).map_err(Error::netlink("find nftables table"))?;
        let mut transaction = Transaction::new(&name);
        if mark.as_deref() == Some(rules::LAYOUT) {
            for set in [rules::HOST_PORTS, rules::HOST_IP_PORTS, rules::HAIRPIN_HOST_PORTS] {
                transaction.flush_set(set);
            }
        } else {
            rules::write_table(&mut transaction, &self.prefixes);
        }
        for pod in self.pods.all() {
            write_host_ports(&mut transaction, ElementChange::Add, v4(pod.ip, "ip")?, &pod.host_ports)?;
        }
        self.nft.commit(transaction).map_err(Error::netlink("write nftables table"))
    }

    fn command(&mut self, command: Command) {
        // An answer that nobody waits for any more is no fault.
        match command {
            Command::Attach(request, reply) => self.attach(request, reply),
            Command::Detach(owner, reply) => drop(reply.send(self.detach(&owner))),
            Command::List(reply) => drop(reply.send(Ok(self.pods.all().cloned().collect()))),
            Command::Reconcile(live, reply) => drop(reply.send(self.reconcile(live))),
            Command::PeerRoutes(desired, reply) => {
                drop(reply.send(base::peer_routes(&self.config, &mut self.rtnl, &desired)));
            }
            Command::ServiceCidrs(desired, reply) => drop(reply.send(self.set_service_cidrs(&desired))),
            Command::Services(desired, reply) => {
                let pods: Vec<PodNetwork> = self.pods.all().cloned().collect();
                let host_ports = |transaction: &mut Transaction| {
                    for pod in &pods {
                        if let IpAddr::V4(ip) = pod.ip {
                            // They were checked when they were given.
                            let _ = write_host_ports(transaction, ElementChange::Add, ip, &pod.host_ports);
                        }
                    }
                };
                let table = self.config.id.table();
                let applied = self.services.apply(&mut self.nft, &table, &self.prefixes, desired, host_ports);
                let _ = reply.send(applied);
            }
            Command::Policies(desired, reply) => {
                let table = self.config.id.policy_table();
                let attached = self.pods.all().filter_map(|pod| match pod.ip {
                    IpAddr::V4(ip) => Some((pod.owner.as_str(), ip)),
                    IpAddr::V6(_) => None,
                });
                let applied = self.policies.apply(&mut self.nft, &table, desired, attached);
                let _ = reply.send(applied);
            }
            Command::Close(reply) => drop(reply.send(Err(Error::Closed))),
        }
    }

    fn set_service_cidrs(&mut self, desired: &BTreeSet<Cidr>) -> Result<Vec<(Cidr, String)>> {
        let (more, refused) = base::service_routes(&self.config, &mut self.rtnl, desired)?;
        let own = self.config.service_cidr.v4("serviceCIDR")?;
        let services: Vec<_> = std::iter::once(own).chain(more).collect();
        if services != self.prefixes.services {
            self.prefixes.services = services;
            let mut transaction = Transaction::new(&self.config.id.table());
            rules::write_unassigned(&mut transaction, &self.prefixes);
            self.nft.commit(transaction).map_err(Error::netlink("write prefixes of services"))?;
        }
        Ok(refused)
    }

    fn attach(&mut self, mut request: AttachRequest, reply: AttachReply) {
        for port in &mut request.host_ports {
            port.host_ip = port.host_ip.filter(|ip| !ip.is_unspecified());
        }
        request.host_ports.sort();
        if let Err(error) = check_owner(&request.owner) {
            let _ = reply.send(Err(error));
            return;
        }
        self.waiting.push_back((request, reply));
        self.serve();
    }

    /// Gives ready slots to those that wait, and has more made.
    fn serve(&mut self) {
        while let Some((request, reply)) = self.waiting.pop_front() {
            if let Some(pod) = self.pods.get(&request.owner).cloned() {
                let _ = reply.send(self.change_host_ports(pod, request.host_ports));
                continue;
            }
            let Some(offset) = self.ready.pop_front() else {
                self.waiting.push_front((request, reply));
                break;
            };
            let given = self.give(offset, request);
            if given.is_err() {
                self.ready.push_front(offset);
            }
            let _ = reply.send(given);
        }
        self.refill();
        // With every address in use and none coming back, waiting has no end.
        if self.building == 0 && self.dying == 0 && self.ready.is_empty() {
            for (_, reply) in self.waiting.drain(..) {
                let _ = reply.send(Err(Error::NoAddressLeft(self.config.pod_cidr)));
            }
        }
    }

    fn give(&mut self, offset: u32, request: AttachRequest) -> Result<PodNetwork> {
        let ip = self.spec.address(offset).ok_or(Error::NoAddressLeft(self.config.pod_cidr))?;
        let pod = PodNetwork {
            owner: request.owner,
            netns_path: self.spec.netns_path(offset),
            ip: IpAddr::V4(ip),
            node_interface: self.spec.link(offset),
            host_ports: Vec::new(),
        };
        self.pods.put(pod.clone())?;
        let table = self.config.id.policy_table();
        let given = match self.policies.attach(&mut self.nft, &table, &pod.owner, ip) {
            Ok(()) => self.change_host_ports(pod.clone(), request.host_ports),
            Err(error) => Err(error),
        };
        if given.is_err() {
            self.pods.remove(&pod.owner)?;
            self.policies.detach(&mut self.nft, &table, ip)?;
        }
        given
    }

    fn change_host_ports(&mut self, mut pod: PodNetwork, wanted: Vec<HostPort>) -> Result<PodNetwork> {
        if pod.host_ports == wanted {
            return Ok(pod);
        }
        self.pods.check_host_ports(&pod.owner, &wanted)?;
        let ip = v4(pod.ip, "ip")?;
        let mut transaction = Transaction::new(&self.config.id.table());
        write_host_ports(&mut transaction, ElementChange::Delete, ip, &pod.host_ports)?;
        write_host_ports(&mut transaction, ElementChange::Add, ip, &wanted)?;
        self.nft.commit(transaction).map_err(Error::netlink("write host ports"))?;
        if pod.host_ports.iter().any(|port| port.protocol == Protocol::Udp) {
            cut_flows(|flow| {
                flow.original.protocol == Protocol::Udp.number()
                    && flow.reply.source == ip
                    && flow.original.destination != ip
            });
        }
        pod.host_ports = wanted;
        self.pods.put(pod.clone())?;
        Ok(pod)
    }

    fn detach(&mut self, owner: &str) -> Result<()> {
        for (request, reply) in std::mem::take(&mut self.waiting) {
            if request.owner == owner {
                let reason = "detached while it waited for a network".to_owned();
                let _ = reply.send(Err(Error::Invalid { field: "owner", reason }));
            } else {
                self.waiting.push_back((request, reply));
            }
        }
        let Some(pod) = self.pods.get(owner).cloned() else { return Ok(()) };
        let offset = self.spec.offset(pod.ip);
        let ip = v4(pod.ip, "ip")?;
        let node_interface = pod.node_interface.clone();
        self.change_host_ports(pod, Vec::new())?;
        // Before the pod is forgotten: a slot that was used must never be taken for a ready one.
        let mut batch = Batch::new();
        let dead = LinkChange { group: Some(self.config.id.group_dead()), ..LinkChange::default() };
        batch.set_link(LinkRef::Name(&node_interface), &dead);
        self.rtnl
            .execute_unless(batch, netlink::Error::is_not_found)
            .map_err(Error::netlink("give up the pod's interface"))?;
        self.policies.detach(&mut self.nft, &self.config.id.policy_table(), ip)?;
        self.pods.remove(owner)?;
        if let Some(offset) = offset {
            self.dispose(offset);
        }
        Ok(())
    }

    fn reconcile(&mut self, live: BTreeSet<String>) -> Result<Reconciled> {
        let mut found = Reconciled::default();
        let pods: Vec<PodNetwork> = self.pods.all().cloned().collect();
        for pod in pods {
            if live.contains(&pod.owner) {
                found.kept.push(pod);
            } else {
                self.detach(&pod.owner)?;
                found.removed.push(pod.owner);
            }
        }
        found.lost = live.into_iter().filter(|owner| self.pods.get(owner).is_none()).collect();
        Ok(found)
    }

    /// Has slots made until enough are ready for those that wait and those to come.
    fn refill(&mut self) {
        let wanted = self.waiting.len() + self.config.ready_slots;
        while self.ready.len() + self.building < wanted {
            let Some(offset) = self.free_offset() else { return };
            if self.jobs.send(Job::Build(offset)).is_err() {
                return;
            }
            self.used.insert(offset);
            self.next = offset + 1;
            self.building += 1;
        }
    }

    fn free_offset(&self) -> Option<u32> {
        let range = self.spec.offsets();
        if self.used.len() >= range.len() {
            return None;
        }
        (self.next..range.end).chain(range.start..self.next).find(|offset| !self.used.contains(offset))
    }

    fn dispose(&mut self, offset: u32) {
        self.used.insert(offset);
        self.dying += 1;
        // It fails only when the thread has ended; the next start finds the remains.
        let _ = self.jobs.send(Job::Dispose(offset));
    }

    fn built(&mut self, offset: u32, result: Result<()>) {
        self.building -= 1;
        match result {
            Ok(()) => {
                self.ready.push_back(offset);
                self.serve();
            }
            Err(error) => {
                self.used.remove(&offset);
                match self.waiting.pop_front() {
                    Some((_, reply)) => drop(reply.send(Err(error))),
                    // Not tried again before it is needed: what fails may fail for long.
                    None => tracing::warn!(%error, "a pod network could not be made ahead of need"),
                }
                if !self.waiting.is_empty() {
                    self.serve();
                }
            }
        }
    }

    fn disposed(&mut self, offsets: &[u32], result: Result<()>) {
        self.dying -= offsets.len();
        match result {
            Ok(()) => self.used.retain(|offset| !offsets.contains(offset)),
            // Their addresses stay taken; the next start tries again.
            Err(error) => tracing::error!(%error, "pod networks could not be removed"),
        }
        self.serve();
    }

    fn stop(&mut self) {
        let _ = self.jobs.send(Job::Stop);
        if let Some(builder) = self.builder.take()
            && builder.join().is_err()
        {
            tracing::error!("the thread that makes pod networks panicked");
        }
    }
}

/// Writes the elements of a pod's host ports.
fn write_host_ports(
    transaction: &mut Transaction,
    change: ElementChange,
    ip: Ipv4Addr,
    ports: &[HostPort],
) -> Result<()> {
    let mut by_set: BTreeMap<&str, Vec<(Vec<u8>, ElementData)>> = BTreeMap::new();
    for port in ports {
        let data = ElementData::Value(plan::endpoint(ip, port.pod_port));
        let (set, key) = match port.host_ip {
            Some(host_ip) => {
                let host_ip = v4(host_ip, "hostIP")?;
                (rules::HOST_IP_PORTS, plan::vip(host_ip, port.protocol, port.host_port))
            }
            None => (rules::HOST_PORTS, plan::node_port(port.protocol, port.host_port)),
        };
        by_set.entry(set).or_default().push((key, data));
        let twice = [ip.octets(), ip.octets()].concat();
        by_set.insert(rules::HAIRPIN_HOST_PORTS, vec![(twice, ElementData::None)]);
    }
    for (set, elements) in &by_set {
        transaction.elements(set, change, elements.iter().map(|(key, data)| (&key[..], data)));
    }
    Ok(())
}
