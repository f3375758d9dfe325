//! `cox up`: the control plane and the nodes in one process.

mod background;
mod control;
mod node;
mod nodes;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use cox_env::Env;
use cox_network::Fabric;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::{ControlPlane, Up};
use crate::layout::Layout;
use crate::progress::Steps;
use crate::socket::{self, Ask};
use crate::{image, lock};
use control::{Acts, Control};
use node::Surroundings;
use nodes::Nodes;

/// Addresses of nodes, where there are several on this machine.
const NODE_CIDR: &str = "10.41.0.0/24";

/// `cox up`: the control plane with its nodes, or the API server alone.
pub(crate) async fn up(args: Up) -> Result<()> {
    if !args.no_node && !args.control.detach && !rustix::process::geteuid().is_root() {
        bail!("a node makes namespaces, mounts and cgroups: run cox up as root, or with --no-node");
    }
    let nodes = node_names(&args)?;
    run(args.control, nodes, if args.no_node { Acts::Nothing } else { Acts::All }).await
}

/// `cox server`: the control plane without a node.
pub(crate) async fn server(args: ControlPlane) -> Result<()> {
    run(args, Vec::new(), Acts::All).await
}

/// Starts everything; returns when it was told to end.
async fn run(mut args: ControlPlane, nodes: Vec<String>, acts: Acts) -> Result<()> {
    args.data.data_dir = std::path::absolute(&args.data.data_dir)?;
    if args.detach {
        return background::start(&args);
    }
    let steps = Steps::new();
    let _lock = lock::take(&args.data.data_dir)?;
    let layout = Layout {
        data_dir: args.data.data_dir.clone(),
        nodes,
        pod_cidr: args.pod_cidr.clone(),
        service_cidr: args.service_cidr.clone(),
        node_cidr: NODE_CIDR.into(),
    };
    layout.keep()?;
    let env = Env::real();
    let step = steps.begin("control plane");
    let control = Control::start(&env, &args, &layout, acts).await?;
    step.done(&control.summary());
    let nodes = if layout.nodes.is_empty() {
        None
    } else {
        let step = steps.begin("network");
        let fabric = match layout.has_fabric() {
            true => {
                Some(Fabric::start(layout.fabric_config()?).await.context("the network between the nodes")?)
            }
            false => None,
        };
        let address = layout.api_address()?.map(|address| address.to_string()).unwrap_or_default();
        step.done(&format!("pods in {}, API for pods at {address}", layout.pod_cidr));
        let step = steps.begin("nodes");
        let surroundings = Surroundings {
            env: env.clone(),
            fabric,
            client: control.node_clients(),
            proxy_client: control.proxy_client(),
            policy_client: control.policy_client(),
            tls: control.node_tls(),
        };
        let nodes = Arc::new(Nodes::start(surroundings, &layout).await?);
        control.listen_for_pods(&layout).await?;
        step.done(&layout.nodes.join(", "));
        Some(nodes)
    };
    control.publish(&args)?;
    let listener = socket::listen(&layout.data_dir)?;
    steps.ready();
    eprintln!("  kubectl --kubeconfig {} get nodes", layout.data_dir.join("admin.kubeconfig").display());
    let mut signals = Signals::new()?;
    loop {
        tokio::select! {
            biased;
            () = signals.next() => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (nodes, status) = (nodes.clone(), control.status());
                env.spawn(async move {
                    let answer = socket::serve(stream, |ask| answer(nodes, status, ask)).await;
                    if let Err(error) = answer {
                        tracing::debug!(%error, "control socket");
                    }
                });
            }
        }
    }
    eprintln!("stopping; pods run on");
    control.announce_end();
    let stopping = async {
        if let Some(nodes) = &nodes {
            nodes.leave().await;
        }
        control.stop().await;
    };
    tokio::select! {
        biased;
        () = stopping => Ok(()),
        // As upstream's: who asks twice doesn't wait. What is acknowledged is on disk anyway.
        () = signals.next() => bail!("told twice to end: ended at once"),
    }
}

fn node_names(args: &Up) -> Result<Vec<String>> {
    if args.no_node {
        return Ok(Vec::new());
    }
    let base = match &args.node_name {
        Some(name) => name.clone(),
        None if args.nodes > 1 => "node".to_owned(),
        None => rustix::system::uname().nodename().to_string_lossy().to_lowercase(),
    };
    let valid = !base.is_empty()
        && base.len() <= 63
        && base
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    if !valid {
        bail!(
            "{base:?} can't be a node's name: use --node-name with lower case letters, digits, '-' and '.'"
        );
    }
    if args.nodes == 1 {
        return Ok(vec![base]);
    }
    Ok((1..=args.nodes).map(|number| format!("{base}-{number}")).collect())
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Resolves when the next one comes.
    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn answer(nodes: Option<Arc<Nodes>>, status: Vec<String>, ask: Ask) -> Result<Vec<String>> {
    if matches!(ask, Ask::Status) {
        let mut lines = status;
        if let Some(nodes) = &nodes {
            lines.extend(nodes.lines().await);
        }
        return Ok(lines);
    }
    let Some(nodes) = nodes else { bail!("this control plane has no node of its own") };
    match ask {
        Ask::Status => Ok(status),
        Ask::NodeLs => Ok(nodes.lines().await),
        Ask::NodeStop { name } => nodes.stop(&name).await,
        Ask::NodeStart { name } => nodes.start_one(&name).await,
        Ask::ImageLoad { file } => nodes.load(&file).await,
        Ask::ImageBuild { from, tag, entrypoint, cmd, env } => {
            nodes.build(&from, &tag, &image::config(&entrypoint, &cmd, &env)).await
        }
        Ask::ImagePull { reference } => nodes.pull(&reference).await,
        Ask::ImageLs => nodes.images().await,
        Ask::ImageRm { reference } => nodes.remove_image(&reference).await,
    }
}
