//! `cargo xtask bench`: the figures of docs/performance.md that concern the API, over TLS, against a fresh
//! `cox up --no-node`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::server::{Call, Running, Target, build};

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// The binary to measure; a release build is made where none is given.
    #[arg(long)]
    cox: Option<PathBuf>,
    /// How many objects are made.
    #[arg(long, default_value_t = 10_000)]
    objects: usize,
    /// How many requests are under way at once.
    #[arg(long, default_value_t = 16)]
    connections: usize,
}

/// How long one request may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Measures and prints a line per figure.
pub async fn run(args: Args) -> Result<()> {
    let cox = match &args.cox {
        Some(cox) => cox.clone(),
        None => build(true)?,
    };
    for store in ["memory", "embedded"] {
        let begun = Instant::now();
        let running = Running::start(Some(&cox), &["--no-node", "--store", store]).await?;
        println!("{store}: answers after {:?}", begun.elapsed());
        let target = Arc::new(running.target()?);
        println!("{store}: {} kB resident at rest", running.resident_kb()?);
        measure(&args, store, "creates", &target, |number| Call {
            method: "POST".into(),
            path: "/api/v1/namespaces/default/pods".into(),
            body: Some(pod(number).into_bytes()),
            ..call()
        })
        .await?;
        measure(&args, store, "gets", &target, |number| Call {
            path: format!("/api/v1/namespaces/default/pods/p-{number}"),
            ..call()
        })
        .await?;
        let begun = Instant::now();
        let list = target.send(Call { path: "/api/v1/pods".into(), ..call() }, WITHIN).await?;
        let bytes = list.body.len();
        println!("{store}: a list of {} pods, {bytes} bytes, in {:?}", args.objects, begun.elapsed());
        println!("{store}: {} kB resident after {} pods", running.resident_kb()?, args.objects);
    }
    Ok(())
}

fn call() -> Call {
    Call {
        method: "GET".into(),
        path: String::new(),
        query: Vec::new(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: None,
        authorize: true,
    }
}

/// A pod of about a kilobyte in storage.
fn pod(number: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p-{number}","labels":{{"app":"bench","n":"{number}"}}}},"spec":{{"containers":[{{"name":"c","image":"busybox:1","command":["sleep","1000"],"resources":{{"requests":{{"cpu":"10m","memory":"16Mi"}}}}}}]}}}}"#
    )
}

/// Sends one request per object, so many at once, and prints rate and latencies.
async fn measure(
    args: &Args,
    store: &str,
    what: &str,
    target: &Arc<Target>,
    make: impl Fn(usize) -> Call + Send + Sync + 'static,
) -> Result<()> {
    let (next, make) = (Arc::new(AtomicUsize::new(0)), Arc::new(make));
    let begun = Instant::now();
    let workers: Vec<_> = (0..args.connections)
        .map(|_| {
            let (target, next, make, objects) = (target.clone(), next.clone(), make.clone(), args.objects);
            tokio::spawn(async move {
                let mut took = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= objects {
                        return anyhow::Ok(took);
                    }
                    let begun = Instant::now();
                    let answer = target.send(make(number), WITHIN).await?;
                    if answer.status >= 300 {
                        bail!("{}: {}", answer.status, answer.json());
                    }
                    took.push(begun.elapsed());
                }
            })
        })
        .collect();
    let mut took = Vec::new();
    for worker in workers {
        took.extend(worker.await.context("a worker")??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    let rate = took.len() as f64 / seconds;
    println!("{store}: {rate:.0} {what}/s, p50 {:?}, p99 {:?} ({} at once)", at(0.5), at(0.99), args.connections);
    Ok(())
}
