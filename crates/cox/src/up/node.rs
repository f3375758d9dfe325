//! One node of this process: its place in the fabric, network, runtime and kubelet.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use cox_client::Client;
use cox_env::Env;
use cox_kubelet::{Allocatable, DnsConfig, Kubelet, KubeletConfig, Machine, Parts, Server};
use cox_network::{Fabric, NodeNetwork};
use cox_runtime::{NativeRuntime, Runtime};

use crate::layout::NodeLayout;

/// Where kubelets listen.
pub(crate) const KUBELET_PORT: u16 = 10_250;
/// Pods a node takes. Source: upstream's `maxPods`.
const PODS_MAX: i64 = 110;
/// Memory kept free for the node itself. Source: upstream's default `evictionHard` (`memory.available<100Mi`).
const MEMORY_RESERVED_BYTES: i64 = 100 << 20;

/// What all nodes of a cluster share.
pub(crate) struct Surroundings {
    pub(crate) env: Env,
    pub(crate) fabric: Option<Fabric>,
    /// Makes the API client of a node, by its name.
    pub(crate) client: Box<dyn Fn(&str) -> Client + Send + Sync>,
    /// The API client for services and endpoints.
    pub(crate) proxy_client: Client,
    /// The API client for network policies.
    pub(crate) policy_client: Client,
    /// Makes the TLS configuration of a node's server.
    pub(crate) tls: Box<dyn Fn(&NodeLayout) -> Result<Arc<rustls::ServerConfig>> + Send + Sync>,
}

/// A node that runs.
pub(crate) struct Node {
    pub(crate) layout: NodeLayout,
    env: Env,
    pub(crate) network: NodeNetwork,
    pub(crate) runtime: Arc<NativeRuntime>,
}

impl Node {
    /// Starts everything of a node. Returns once it is Ready in the API.
    pub(crate) async fn start(surroundings: &Surroundings, layout: NodeLayout) -> Result<Node> {
        let env = surroundings.env.component("node");
        std::fs::create_dir_all(&layout.dir)?;
        let netns: Option<PathBuf> = match &surroundings.fabric {
            Some(fabric) => {
                let place = fabric.add_node(layout.id.clone(), layout.ip, layout.pod_cidr).await?;
                Some(place.netns_path)
            }
            None => None,
        };
        let network =
            NodeNetwork::start(layout.network(netns.as_deref())).await.context("the node's network")?;
        let runtime = Arc::new(NativeRuntime::open(layout.runtime()).await.context("the container runtime")?);
        let listener = listen(&layout, netns.as_deref()).context("the kubelet's server")?;
        let tls = (surroundings.tls)(&layout)?;
        let kubelet = Kubelet::start(Parts {
            env: env.clone(),
            config: config(&layout, netns),
            client: (surroundings.client)(&layout.name),
            proxy_client: surroundings.proxy_client.clone(),
            policy_client: surroundings.policy_client.clone(),
            runtime: runtime.clone(),
            network: Some(network.clone()),
        })
        .await?;
        env.spawn(kubelet.serve(Server { listener, tls }));
        Ok(Node { layout, env, network, runtime })
    }

    /// Ends the node's part of this process; its pods run on.
    pub(crate) async fn leave(&self) {
        self.env.tasks().end_and_wait().await;
        // It ends with the process anyway.
        let _ = self.network.close().await;
    }

    /// Ends the node as a machine does that fails: without a word, its containers with it.
    pub(crate) async fn fail(&self, fabric: Option<&Fabric>) -> Result<()> {
        self.env.tasks().end_and_wait().await;
        if let Some(fabric) = fabric {
            fabric.stop_node(&self.layout.id).await?;
        }
        for sandbox in self.runtime.list_sandboxes().await? {
            if let Some(pid) = sandbox.supervisor_pid.and_then(|pid| i32::try_from(pid).ok()) {
                kill(pid);
            }
        }
        self.network.close().await?;
        Ok(())
    }
}

/// Kills a supervisor; its containers die with it.
fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// The kubelet's listener, in the node's network namespace.
fn listen(layout: &NodeLayout, netns: Option<&std::path::Path>) -> Result<std::net::TcpListener> {
    let address = (layout.ip, KUBELET_PORT);
    let bind = move || std::net::TcpListener::bind(address);
    let listener = match netns {
        Some(path) => {
            let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
            cox_sys::netlink::in_netns(file.as_fd(), bind)?
        }
        None => bind(),
    };
    let listener = listener.with_context(|| format!("listening on {}:{KUBELET_PORT}", layout.ip))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn config(layout: &NodeLayout, netns: Option<PathBuf>) -> KubeletConfig {
    let capacity = capacity(layout);
    let allocatable =
        Allocatable { memory_bytes: capacity.memory_bytes - MEMORY_RESERVED_BYTES, ..capacity.clone() };
    KubeletConfig {
        node_name: layout.name.clone(),
        hostname: layout.name.clone(),
        node_ip: layout.ip,
        port: KUBELET_PORT,
        root_dir: layout.dir.join("kubelet"),
        log_dir: layout.dir.join("logs"),
        seccomp_dir: layout.dir.join("kubelet/seccomp"),
        netns,
        capacity,
        allocatable,
        labels: Default::default(),
        taints: Vec::new(),
        dns: DnsConfig { servers: Vec::new(), cluster_domain: "cluster.local".into() },
        pod_pids_max: None,
        machine: Machine::read(),
    }
}

fn capacity(layout: &NodeLayout) -> Allocatable {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()
        })
        .unwrap_or(0);
    let disk = rustix::fs::statvfs(&layout.dir)
        .map(|disk| i64::try_from(disk.f_blocks.saturating_mul(disk.f_frsize)).unwrap_or(i64::MAX))
        .unwrap_or(0);
    Allocatable {
        cpu_milli: i64::try_from(cpus).unwrap_or(1) * 1000,
        memory_bytes: kib * 1024,
        ephemeral_storage_bytes: disk,
        pods: PODS_MAX,
    }
}
