//! The network of one node, as its callers see it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use tokio::sync::oneshot;

use crate::base;
use crate::core::{self, Message};
use crate::{
    Applied, AttachRequest, Cidr, Error, NodeNetConfig, PodNetwork, Policies, PoliciesApplied, Reconciled,
    Result, ServicePort, ServicePortKey,
};

/// A request to the node's network thread, with the place for its answer.
pub(crate) enum Command {
    Attach(AttachRequest, oneshot::Sender<Result<PodNetwork>>),
    Detach(String, oneshot::Sender<Result<()>>),
    List(oneshot::Sender<Result<Vec<PodNetwork>>>),
    Reconcile(BTreeSet<String>, oneshot::Sender<Result<Reconciled>>),
    PeerRoutes(BTreeMap<Cidr, IpAddr>, oneshot::Sender<Result<()>>),
    ServiceCidrs(BTreeSet<Cidr>, oneshot::Sender<Result<Vec<(Cidr, String)>>>),
    Services(BTreeMap<ServicePortKey, ServicePort>, oneshot::Sender<Result<Applied>>),
    Policies(Policies, oneshot::Sender<Result<PoliciesApplied>>),
    Close(oneshot::Sender<Result<()>>),
}

/// The network of one node. Cloning shares it. A thread of its own does the work, one request after
/// another, so no call here blocks the caller's runtime; an answer that isn't awaited doesn't undo its
/// request.
#[derive(Clone)]
pub struct NodeNetwork(Arc<Handle>);

struct Handle {
    config: NodeNetConfig,
    requests: Sender<Message>,
}

// === impl Handle ===

impl Drop for Handle {
    fn drop(&mut self) {
        let (reply, _) = oneshot::channel();
        // It fails when the thread was closed before.
        let _ = self.requests.send(Message::Command(Command::Close(reply)));
    }
}

// === impl NodeNetwork ===

impl NodeNetwork {
    /// Brings up what all pods share (gateway device, forwarding, nftables table), finds what an earlier
    /// process left, and starts making pod networks ahead of need.
    ///
    /// # Errors
    /// A field of `config` that can't be served, or the kernel's refusal.
    pub async fn start(config: NodeNetConfig) -> Result<Self> {
        config.validate()?;
        let (requests, inbox) = channel();
        let (started, ready) = oneshot::channel();
        let handle = Handle { config: config.clone(), requests: requests.clone() };
        std::thread::Builder::new()
            .name(format!("net-{}", config.id))
            .spawn(move || core::run(config, &inbox, requests, started))
            .map_err(Error::file("start thread for", &handle.config.state_dir))?;
        ready.await.map_err(|_| Error::Closed)??;
        Ok(NodeNetwork(Arc::new(handle)))
    }

    /// What this network was made from.
    pub fn config(&self) -> &NodeNetConfig {
        &self.0.config
    }

    /// Gives a pod a network namespace, an address and its host ports. Asked again for the same owner it
    /// answers with what that owner has (host ports are brought to the new request).
    ///
    /// # Errors
    /// No address left, a host port taken, or the kernel's refusal.
    pub async fn attach(&self, request: AttachRequest) -> Result<PodNetwork> {
        self.ask(|reply| Command::Attach(request, reply)).await
    }

    /// Takes a pod's network away. An owner that has none is no error.
    ///
    /// # Errors
    /// The kernel's refusal; the pod's network is then still listed and can be detached again.
    pub async fn detach(&self, owner: &str) -> Result<()> {
        let owner = owner.to_owned();
        self.ask(|reply| Command::Detach(owner, reply)).await
    }

    /// All pods that have a network, by owner.
    ///
    /// # Errors
    /// Only [`Error::Closed`].
    pub async fn list(&self) -> Result<Vec<PodNetwork>> {
        self.ask(Command::List).await
    }

    /// To be called once after a start, with the owners that still live: everything else is removed.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn reconcile(&self, live: BTreeSet<String>) -> Result<Reconciled> {
        self.ask(|reply| Command::Reconcile(live, reply)).await
    }

    /// Brings the routes to the other nodes' pods (their pod CIDR by their address) to `desired`.
    ///
    /// # Errors
    /// IPv6, or the kernel's refusal (such as an address that can't be reached directly).
    pub async fn set_peer_routes(&self, desired: BTreeMap<Cidr, IpAddr>) -> Result<()> {
        self.ask(|reply| Command::PeerRoutes(desired, reply)).await
    }

    /// Says out of which prefixes cluster IPs come, besides the configured one: the node itself reaches them, and
    /// connections to addresses of theirs that no service has lead nowhere. Answers with the prefixes for which
    /// that can't be and why: IPv6, and what pods or other routes of the machine need. Services with addresses
    /// of those are forwarded as well.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn set_service_cidrs(&self, desired: BTreeSet<Cidr>) -> Result<Vec<(Cidr, String)>> {
        self.ask(|reply| Command::ServiceCidrs(desired, reply)).await
    }

    /// Brings the forwarding of services to `desired`, all of it: what is not in there is removed. The
    /// first call after a start writes everything in one transaction, later ones only what changed. What
    /// can't be forwarded is left out and named in the answer.
    ///
    /// # Errors
    /// The kernel's refusal; the state before the call then stays in force.
    pub async fn apply_services(&self, desired: BTreeMap<ServicePortKey, ServicePort>) -> Result<Applied> {
        self.ask(|reply| Command::Services(desired, reply)).await
    }

    /// Brings the policies of pods to `desired`, all of them: what is not in there is open. They hold for new
    /// connections; those that were let through go on. A pod that is attached later starts with what was said of it
    /// here. Until the first call after a start what an earlier process said stays in force; that call writes
    /// everything in one transaction, later ones only what changed.
    ///
    /// # Errors
    /// A group that is named and not there, or the kernel's refusal; the state before the call then stays in force.
    pub async fn apply_policies(&self, desired: Policies) -> Result<PoliciesApplied> {
        self.ask(|reply| Command::Policies(desired, reply)).await
    }

    /// Ends the network's thread and waits for it. Pods keep their networks.
    ///
    /// # Errors
    /// Only [`Error::Closed`], when it was closed before.
    pub async fn close(&self) -> Result<()> {
        self.ask(Command::Close).await
    }

    /// Removes everything a network with this `config` made: interfaces, network namespaces, routes, the
    /// nftables tables, the state directory. Pods that still run lose their network. Nothing there is no
    /// error. No [`NodeNetwork`] may be open for the same config.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub async fn purge(config: NodeNetConfig) -> Result<()> {
        config.validate()?;
        on_thread(move || base::purge(&config)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.0.requests.send(Message::Command(command(reply))).map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

/// Runs `work` on a thread of its own, in the network namespace of the caller's, and waits for it.
pub(crate) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (reply, answer) = oneshot::channel();
    std::thread::Builder::new()
        .name("net-once".into())
        .spawn(move || drop(reply.send(work())))
        .map_err(Error::file("start thread for", "network"))?;
    answer.await.map_err(|_| Error::Closed)?
}
