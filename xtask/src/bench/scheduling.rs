//! The scheduler over make-believe nodes: pods made through the API, counted when their binding is in the store.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;

use super::load::{many, post};
use super::watch::Watch;
use super::{Args, proc};
use crate::server::Running;

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Measures a control plane without a node of its own.
pub(super) async fn run(args: &Args, cox: &Path) -> Result<()> {
    let running = Running::command(Some(cox), "server", &["--store", "memory"]).await?;
    let target = Arc::new(running.target()?);
    many(&target, args.nodes, args.connections, |number| post("/api/v1/nodes", node(number))).await?;
    let mut watch = Watch::begin(&target, PODS).await?;
    let begun = Instant::now();
    let creating = {
        let (target, count, at_once) = (target.clone(), args.objects(), args.connections);
        tokio::spawn(async move {
            many(&target, count, at_once, |number| post(PODS, pod(number))).await?;
            anyhow::Ok(begun.elapsed())
        })
    };
    let mut bound = BTreeSet::new();
    let mut last = begun;
    while bound.len() < args.objects() {
        let changed = watch.next().await?;
        if changed.object["spec"]["nodeName"].is_string()
            && let Some(name) = changed.object["metadata"]["name"].as_str()
            && bound.insert(name.to_owned())
        {
            last = changed.at;
        }
    }
    let (created, all) = (creating.await??.as_secs_f64(), (last - begun).as_secs_f64());
    let count = args.objects() as f64;
    println!(
        "scheduling: {count} pods on {} nodes: {:.0} bound/s from the first creation on; created at {:.0}/s meanwhile; the last bound {:.0} ms after the last creation; {} kB (Pss)",
        args.nodes,
        count / all,
        count / created,
        (all - created) * 1000.0,
        proc::memory(running.pid())?.pss,
    );
    Ok(())
}

/// A node with its addresses, so that nobody looks for free ones meanwhile.
fn node(number: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"node-{number}","labels":{{"kubernetes.io/hostname":"node-{number}","topology.kubernetes.io/zone":"zone-{}"}}}},"spec":{{"podCIDR":"10.{}.{}.0/24","podCIDRs":["10.{}.{}.0/24"]}},"status":{{"capacity":{{"cpu":"16","memory":"64Gi","pods":"110"}},"allocatable":{{"cpu":"16","memory":"64Gi","pods":"110"}},"conditions":[{{"type":"Ready","status":"True","reason":"KubeletReady"}}]}}}}"#,
        number % 3,
        number / 256,
        number % 256,
        number / 256,
        number % 256,
    )
}

fn pod(number: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p-{number}","labels":{{"app":"bench"}}}},"spec":{{"containers":[{{"name":"c","image":"busybox:1","resources":{{"requests":{{"cpu":"100m","memory":"128Mi"}}}}}}]}}}}"#
    )
}
