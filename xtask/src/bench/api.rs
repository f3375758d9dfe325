//! The API over TLS: rates and latencies of creates and gets, a list, and memory.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::load::{WITHIN, call, many, percentiles, post, send};
use super::{Args, proc};
use crate::server::{Call, Running, Target};

const PODS: &str = "/api/v1/namespaces/default/pods";
/// How often the list is measured.
const LISTS: usize = 10;
/// How long the server has to come to rest.
const REST: Duration = Duration::from_secs(20);

/// Measures both stores.
pub(super) async fn run(args: &Args, cox: &Path) -> Result<()> {
    for store in ["memory", "embedded"] {
        one(args, cox, store).await?;
    }
    Ok(())
}

async fn one(args: &Args, cox: &Path, store: &str) -> Result<()> {
    let begun = Instant::now();
    let running = Running::start(Some(cox), &["--no-node", "--store", store]).await?;
    println!("{store}: answers after {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
    let target = Arc::new(running.target()?);
    println!("{store}: {} kB (Pss) at rest", proc::memory(running.pid())?.pss);
    let creates = |number| post(PODS, pod(number));
    rate(args, store, "creates", args.objects(), &target, creates).await?;
    let gets = |number| Call { path: format!("{PODS}/p-{number}"), ..call() };
    rate(args, store, "gets", args.objects(), &target, gets).await?;
    list(store, args.objects(), &target).await?;
    println!("{store}: {} kB (Pss) with {} pods", proc::memory(running.pid())?.pss, args.objects());
    // A pod that was never bound goes at once.
    let deletes = |number| Call { method: "DELETE".into(), path: format!("{PODS}/p-{number}"), ..call() };
    rate(args, store, "deletes", args.objects(), &target, deletes).await?;
    tokio::time::sleep(REST).await;
    println!(
        "{store}: {} kB (Pss) at rest after {} pods came and went",
        proc::memory(running.pid())?.pss,
        args.objects()
    );
    Ok(())
}

/// A pod of about a kilobyte in storage.
pub(super) fn pod(number: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p-{number}","labels":{{"app":"bench","n":"{number}"}}}},"spec":{{"containers":[{{"name":"c","image":"busybox:1","command":["sleep","1000"],"resources":{{"requests":{{"cpu":"10m","memory":"16Mi"}}}}}}]}}}}"#
    )
}

/// Lists the pods several times over one connection; the best and the median count. Whole, since a page would keep
/// the state that its continuation reads.
async fn list(store: &str, pods: usize, target: &Target) -> Result<()> {
    let mut took = Vec::new();
    let mut bytes = 0;
    for _ in 0..LISTS {
        let begun = Instant::now();
        bytes = send(target, Call { path: PODS.into(), ..call() }).await?.len();
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let rate = |took: Duration| bytes as f64 / took.as_secs_f64() / 1e6;
    let (best, median) = (rate(took[0]), rate(took[LISTS / 2]));
    println!(
        "{store}: lists of {pods} pods, {bytes} bytes: {median:.0} MB/s (median), {best:.0} MB/s (best)"
    );
    Ok(())
}

async fn rate(
    args: &Args,
    store: &str,
    what: &str,
    count: usize,
    target: &Arc<Target>,
    make: impl Fn(usize) -> Call + Send + Sync + 'static,
) -> Result<()> {
    let begun = Instant::now();
    let took = many(target, count, args.connections, make).await?;
    let seconds = begun.elapsed().as_secs_f64();
    if took.len() != count {
        bail!("{} of {count} {what} were answered within {WITHIN:?}", took.len());
    }
    let rate = count as f64 / seconds;
    println!("{store}: {rate:.0} {what}/s, {} ({} at once)", percentiles(&took), args.connections);
    Ok(())
}
