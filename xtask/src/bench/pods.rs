//! Real pods on one node: from creation to Ready one by one and in a burst, memory, processor time at rest.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::load::{call, many, percentiles, post, send};
use super::proc;
use super::watch::Watch;
use crate::image_root;
use crate::server::{Call, Running, Target};

const PODS: &str = "/api/v1/namespaces/default/pods";
/// Pods made one after the other.
const SINGLE: usize = 50;
/// Pods made at once.
const BURST: usize = 100;
/// Pods that are there while nothing happens.
const QUIET: usize = 10;
/// How long nothing happens.
const REST: Duration = Duration::from_secs(20);

/// Measures a fresh node, and takes everything away afterwards.
pub(super) async fn run(cox: &Path) -> Result<()> {
    let begun = Instant::now();
    let running = Running::start(Some(cox), &[]).await?;
    let answers = begun.elapsed();
    let measured = measure(cox, &running, begun, answers).await;
    down(cox, running.dir())?;
    measured
}

async fn measure(cox: &Path, running: &Running, begun: Instant, answers: Duration) -> Result<()> {
    let target = Arc::new(running.target()?);
    node_ready(&target).await?;
    let ready = begun.elapsed();
    println!("pods: /readyz after {:.0} ms, the node Ready after {:.0} ms", millis(answers), millis(ready));
    image(cox, running.dir())?;
    let mut watch = Watch::begin(&target, PODS).await?;
    let mut took = Vec::new();
    // The first pod finds what later ones share; it isn't counted.
    for number in 0..=SINGLE {
        let name = format!("single-{number}");
        let begun = Instant::now();
        send(&target, post(PODS, pod(&name))).await?;
        let at = ready_of(&mut watch, &name).await?;
        if number > 0 {
            took.push(at - begun);
        }
    }
    took.sort_unstable();
    println!("pods: creation to Ready, one by one ({SINGLE}): {}", percentiles(&took));
    clear(&target, running).await?;

    let mut watch = Watch::begin(&target, PODS).await?;
    let begun = Instant::now();
    many(&target, BURST, BURST, |number| post(PODS, pod(&format!("burst-{number}")))).await?;
    let mut ready = BTreeMap::new();
    while ready.len() < BURST {
        let changed = watch.next().await?;
        if is_ready(&changed.object) {
            ready.entry(name(&changed.object)).or_insert(changed.at);
        }
    }
    let last = ready.values().max().context("no pod")?.duration_since(begun);
    println!(
        "pods: a burst of {BURST}: {:.0} pods/s, the last Ready after {:.0} ms",
        BURST as f64 / last.as_secs_f64(),
        millis(last)
    );
    memory(running)?;
    clear(&target, running).await?;

    let mut watch = Watch::begin(&target, PODS).await?;
    for number in 0..QUIET {
        let name = format!("quiet-{number}");
        send(&target, post(PODS, pod(&name))).await?;
        ready_of(&mut watch, &name).await?;
    }
    drop(watch);
    tokio::time::sleep(REST).await;
    memory(running)?;
    let all = || -> Result<f64> {
        let pods: f64 = proc::supervisors(running.dir())?
            .into_iter()
            .map(proc::processor_seconds)
            .sum::<Result<f64>>()?;
        Ok(pods + proc::processor_seconds(running.pid())?)
    };
    let before = all()?;
    tokio::time::sleep(REST).await;
    let share = (all()? - before) / REST.as_secs_f64() * 100.0;
    println!("pods: {QUIET} quiet pods: {share:.2} % of a core");
    Ok(())
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

fn memory(running: &Running) -> Result<()> {
    let cox = proc::memory(running.pid())?;
    let supervisors = proc::supervisors(running.dir())?;
    let each: Vec<proc::Memory> = supervisors.iter().copied().map(proc::memory).collect::<Result<_>>()?;
    let count = each.len().max(1) as u64;
    let private = each.iter().map(|memory| memory.private).sum::<u64>() / count;
    let pss: u64 = cox.pss + each.iter().map(|memory| memory.pss).sum::<u64>();
    println!(
        "pods: {} pods: {pss} kB (Pss) with all supervisors, cox alone {} kB; a supervisor {private} kB private",
        each.len(),
        cox.pss
    );
    Ok(())
}

async fn node_ready(target: &Target) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let nodes: Value =
            serde_json::from_slice(&send(target, Call { path: "/api/v1/nodes".into(), ..call() }).await?)?;
        if nodes["items"].as_array().is_some_and(|nodes| nodes.iter().any(is_ready)) {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("the node is not Ready");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn ready_of(watch: &mut Watch, name: &str) -> Result<Instant> {
    loop {
        let changed = watch.next().await?;
        if self::name(&changed.object) == name && is_ready(&changed.object) {
            return Ok(changed.at);
        }
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Whether the condition Ready is True.
fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
}

/// Deletes every pod and waits until they are gone, from the API and from the node.
async fn clear(target: &Target, running: &Running) -> Result<()> {
    let query = vec![("gracePeriodSeconds".into(), "0".into())];
    send(target, Call { method: "DELETE".into(), path: PODS.into(), query, ..call() }).await?;
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let pods: Value = serde_json::from_slice(&send(target, Call { path: PODS.into(), ..call() }).await?)?;
        if pods["items"].as_array().is_none_or(Vec::is_empty) && proc::supervisors(running.dir())?.is_empty()
        {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("pods are still there a minute after their deletion");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn pod(name: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},"spec":{{"terminationGracePeriodSeconds":0,"containers":[{{"name":"c","image":"busybox:1","command":["sleep","100000"]}}]}}}}"#
    )
}

fn image(cox: &Path, dir: &Path) -> Result<()> {
    let root = image_root::make(dir)?;
    let mut command = Command::new(cox);
    command.args(["image", "build", "-t", "busybox:1", "--from"]).arg(root).arg("--data-dir").arg(dir);
    quiet(command)
}

fn down(cox: &Path, dir: &Path) -> Result<()> {
    let mut command = Command::new(cox);
    command.args(["down", "--data-dir"]).arg(dir);
    quiet(command)
}

fn quiet(mut command: Command) -> Result<()> {
    let out = command.stdin(Stdio::null()).output().context("running cox")?;
    if !out.status.success() {
        bail!("{:?}: {}", command, String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}
