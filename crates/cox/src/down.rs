//! `cox down`: ends the control plane, then every pod, then (with `--purge`) the data. Leaves nothing in the kernel.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cox_network::{Fabric, NodeNetwork};
use cox_runtime::{NativeRuntime, Runtime};

use crate::cli::Down;
use crate::layout::{Layout, NodeLayout};
use crate::progress::Steps;
use crate::{lock, merge};

/// How long the control plane may take to end.
const END_SECONDS_MAX: u64 = 30;

/// Stops everything.
pub(crate) async fn run(args: Down) -> Result<()> {
    let data_dir = std::path::absolute(&args.data.data_dir)?;
    let steps = Steps::new();
    if let Some(pid) = lock::holder(&data_dir) {
        let step = steps.begin("control plane");
        end(&data_dir, pid)?;
        step.done("stopped");
    }
    if !data_dir.exists() {
        eprintln!("nothing runs in {}", data_dir.display());
        return Ok(());
    }
    let lock = lock::take(&data_dir)?;
    if let Some(layout) = Layout::read(&data_dir)? {
        for node in layout.node_layouts()? {
            let step = steps.begin("node");
            let pods = clear(&node, &layout).await.with_context(|| format!("node {}", node.name))?;
            step.done(&format!("{}: {pods} pods stopped", node.name));
        }
        if layout.has_fabric() {
            Fabric::purge(layout.fabric_config()?).await.context("the network between the nodes")?;
        }
    }
    drop(lock);
    if args.purge {
        merge::unmerge()?;
        std::fs::remove_dir_all(&data_dir).with_context(|| format!("removing {}", data_dir.display()))?;
    }
    Ok(())
}

/// Ends the process that holds the lock, and waits for it.
fn end(data_dir: &Path, pid: u32) -> Result<()> {
    let Some(process) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        bail!("the lock names process {pid}");
    };
    // It may end between the look and the signal.
    let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    let until = Instant::now() + Duration::from_secs(END_SECONDS_MAX);
    // The lock goes with the process, also where its parent has not looked after it yet.
    while lock::holder(data_dir) == Some(pid) {
        if Instant::now() > until {
            bail!(
                "process {pid} has not ended within {END_SECONDS_MAX} s; look at its log, or end it with kill -9 {pid}"
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Removes every pod of a node and what the node made in the kernel.
async fn clear(node: &NodeLayout, layout: &Layout) -> Result<usize> {
    let runtime = NativeRuntime::open(node.runtime()).await?;
    let sandboxes = runtime.list_sandboxes().await?;
    for sandbox in &sandboxes {
        runtime.remove_sandbox(&sandbox.id).await?;
    }
    drop(runtime);
    NativeRuntime::purge_kernel(&node.runtime()).context("the node's cgroups")?;
    cox_kubelet::remove_pod_dirs(&node.dir.join("kubelet")).context("the pods' volumes")?;
    let netns = layout.has_fabric().then(|| layout.data_dir.join("fabric").join(node.id.as_str()));
    let netns = netns.filter(|path: &std::path::PathBuf| Path::exists(path));
    if netns.is_some() || !layout.has_fabric() {
        NodeNetwork::purge(node.network(netns.as_deref())).await?;
    }
    Ok(sandboxes.len())
}
