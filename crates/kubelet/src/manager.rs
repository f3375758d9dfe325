//! Starts a kubelet and hands each pod of the node to its worker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cox_client::{Change, Client, EventRecorder, Reader, Scope, SharedInformers};
use cox_env::{Env, Task};
use cox_network::NodeNetwork;
use cox_runtime::{Runtime, RuntimeEvent, SandboxId};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{Notify, watch};

use crate::config::KubeletConfig;
use crate::events::Events;
use crate::node::Node;
use crate::pod::spec;
use crate::pod::status::NodeFacts;
use crate::server::Server;
use crate::sources::ApiSources;
use crate::userns::IdRanges;
use crate::worker::{Desired, Worker};
use crate::{policies, register, services};

/// What can go wrong when a kubelet starts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory of the node can't be used.
    #[error("{path}: {source}")]
    Directory {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The runtime doesn't answer.
    #[error("runtime: {0}")]
    Runtime(#[from] cox_runtime::RuntimeError),
}

/// What a kubelet is made from.
pub struct Parts {
    /// Time, chance and tasks of this kubelet: it ends with them.
    pub env: Env,
    /// The node.
    pub config: KubeletConfig,
    /// The API, as `system:node:NAME`.
    pub client: Client,
    /// The API, as `system:kube-proxy`: services and their endpoints.
    pub proxy_client: Client,
    /// The API, for network policies: they, pods and namespaces of the whole cluster are read.
    pub policy_client: Client,
    /// The container runtime.
    pub runtime: Arc<dyn Runtime>,
    /// The node's network; none for a node whose pods all share the host's.
    pub network: Option<NodeNetwork>,
}

/// A running kubelet. It ends with the task group of its [`Env`].
pub struct Kubelet {
    node: Arc<Node>,
}

struct Entry {
    desired: watch::Sender<Desired>,
    wake: Arc<Notify>,
    task: Task<()>,
}

impl Kubelet {
    /// Registers the node and begins to work. Returns once the node is Ready.
    ///
    /// # Errors
    /// Where the node's directories or the runtime can't be used.
    pub async fn start(parts: Parts) -> Result<Kubelet, Error> {
        let Parts { env, config, client, proxy_client, policy_client, runtime, network } = parts;
        let open = |path: &std::path::Path| {
            IdRanges::open(path).map_err(|source| Error::Directory { path: path.to_owned(), source })
        };
        let id_ranges = open(&config.root_dir.join("userns"))?;
        let informers = SharedInformers::new(client.clone(), env.clone());
        let recorder = EventRecorder::new(client.clone(), &env, "kubelet", &config.node_name);
        let node = Arc::new(Node {
            facts: NodeFacts { host_ip: config.node_ip.to_string(), scheme: "cox://".into() },
            pods: informers.scoped(Scope::on_node(&config.node_name)),
            services: informers.of(),
            sources: Box::new(ApiSources::new(client.clone(), env.clone())),
            events: Events(recorder),
            id_ranges,
            policies: network
                .clone()
                .map(|network| policies::start(&env, policy_client, network, config.node_name.clone())),
            env: env.clone(),
            config,
            client,
            runtime,
            network,
        });
        if let Some(network) = &node.network {
            let informers = SharedInformers::new(proxy_client, env.clone());
            let run = services::run(env.clone(), informers, network.clone(), node.config.node_name.clone());
            env.spawn(run);
        }
        register::register(&node).await;
        env.spawn(register::keep(node.clone()));
        env.spawn(dispatch(node.clone(), node.pods.clone()));
        Ok(Kubelet { node })
    }

    /// Serves logs, exec and the like, for as long as the kubelet lives.
    pub fn serve(&self, server: Server) -> impl Future<Output = ()> + Send + use<> {
        crate::server::serve(self.node.clone(), server)
    }

    /// The node's configuration.
    pub fn config(&self) -> &KubeletConfig {
        &self.node.config
    }
}

/// Hands changes of pods and events of the runtime to the workers.
async fn dispatch(node: Arc<Node>, pods: Reader<Pod>) {
    let mut changes = pods.subscribe();
    let mut events = node.runtime.events();
    pods.synced().await;
    let mut found = sandboxes(&node).await;
    reconcile(&node, &pods, &found).await;
    let mut workers: BTreeMap<String, Entry> = BTreeMap::new();
    let mut owner_of: BTreeMap<SandboxId, String> = BTreeMap::new();
    for (uid, ids) in &found {
        owner_of.extend(ids.iter().map(|id| (id.clone(), uid.clone())));
    }
    for pod in pods.list() {
        let uid = spec::uid(&pod).to_owned();
        let ids = found.remove(&uid).unwrap_or_default();
        hand(&node, &mut workers, pod, false, ids);
    }
    loop {
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(event) => wake(&node, &workers, &mut owner_of, event).await,
                None => return,
            },
            Change { old, new } = changes.next() => {
                workers.retain(|_, entry| !entry.task.is_finished());
                match (old, new) {
                    (_, Some(pod)) => hand(&node, &mut workers, pod, false, Vec::new()),
                    (Some(pod), None) => hand(&node, &mut workers, pod, true, Vec::new()),
                    (None, None) => {}
                }
            }
        }
    }
}

/// The runtime's sandboxes by pod uid.
async fn sandboxes(node: &Node) -> BTreeMap<String, Vec<SandboxId>> {
    let mut found: BTreeMap<String, Vec<SandboxId>> = BTreeMap::new();
    match node.runtime.list_sandboxes().await {
        Ok(sandboxes) => {
            for sandbox in sandboxes {
                found.entry(sandbox.config.uid.clone()).or_default().push(sandbox.id);
            }
        }
        Err(error) => tracing::error!(%error, "listing sandboxes"),
    }
    found
}

/// Removes what belongs to no pod of this node any more.
async fn reconcile(node: &Node, pods: &Reader<Pod>, found: &BTreeMap<String, Vec<SandboxId>>) {
    let live: BTreeSet<String> = pods.list().iter().map(|pod| spec::uid(pod).to_owned()).collect();
    for (uid, ids) in found.iter().filter(|(uid, _)| !live.contains(*uid)) {
        for id in ids {
            if let Err(error) = node.runtime.remove_sandbox(id).await {
                tracing::warn!(sandbox = %id, pod = uid, %error, "removing an orphaned sandbox");
            }
        }
    }
    if let Some(network) = &node.network
        && let Err(error) = network.reconcile(live.clone()).await
    {
        tracing::warn!(%error, "reconciling the pods' networks");
    }
    if let Ok(entries) = std::fs::read_dir(node.config.root_dir.join("pods")) {
        for entry in entries.flatten() {
            let uid = entry.file_name().to_string_lossy().into_owned();
            if !live.contains(&uid) {
                if let Err(error) = crate::volumes::remove_all(&entry.path()) {
                    tracing::warn!(pod = uid, %error, "removing an orphaned pod's volumes");
                }
                node.id_ranges.release(&uid);
            }
        }
    }
}

fn hand(
    node: &Arc<Node>,
    workers: &mut BTreeMap<String, Entry>,
    pod: Arc<Pod>,
    gone: bool,
    found: Vec<SandboxId>,
) {
    let uid = spec::uid(&pod).to_owned();
    if let Some(entry) = workers.get(&uid) {
        // A worker that has just finished doesn't need to know.
        let _ = entry.desired.send(Desired { pod, gone });
        return;
    }
    if gone {
        return;
    }
    let (desired, receiver) = watch::channel(Desired { pod, gone });
    let wake = Arc::new(Notify::new());
    let worker = Worker::new(node.clone(), receiver, wake.clone(), found);
    let task = node.env.spawn(worker.run());
    workers.insert(uid, Entry { desired, wake, task });
}

async fn wake(
    node: &Node,
    workers: &BTreeMap<String, Entry>,
    owner_of: &mut BTreeMap<SandboxId, String>,
    event: RuntimeEvent,
) {
    let sandbox = match event {
        RuntimeEvent::ContainerExited { sandbox, .. }
        | RuntimeEvent::SandboxGone { sandbox }
        | RuntimeEvent::ContainerStarted { sandbox, .. } => sandbox,
        RuntimeEvent::Missed => {
            workers.values().for_each(|entry| entry.wake.notify_one());
            return;
        }
    };
    if !owner_of.contains_key(&sandbox)
        && let Ok(status) = node.runtime.sandbox_status(&sandbox).await
    {
        owner_of.retain(|_, uid| workers.contains_key(uid));
        owner_of.insert(sandbox.clone(), status.config.uid);
    }
    if let Some(entry) = owner_of.get(&sandbox).and_then(|uid| workers.get(uid)) {
        entry.wake.notify_one();
    }
}
