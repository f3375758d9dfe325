//! Many requests at once, and how long they took.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::server::{Call, Target};

/// How long one request may take.
pub(super) const WITHIN: Duration = Duration::from_secs(60);

/// A GET of nothing, to fill in.
pub(super) fn call() -> Call {
    Call {
        method: "GET".into(),
        path: String::new(),
        query: Vec::new(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: None,
        authorize: true,
    }
}

/// A POST of an object.
pub(super) fn post(path: &str, body: String) -> Call {
    Call { method: "POST".into(), path: path.into(), body: Some(body.into_bytes()), ..call() }
}

/// Sends one request that has to succeed; brings the bytes of its answer.
pub(super) async fn send(target: &Target, call: Call) -> Result<bytes::Bytes> {
    let answer = target.send(call, WITHIN).await?;
    if answer.status >= 300 {
        bail!("{}: {}", answer.status, answer.json());
    }
    Ok(answer.body)
}

/// Sends `count` requests, `at_once` at a time; brings how long each took, sorted.
pub(super) async fn many(
    target: &Arc<Target>,
    count: usize,
    at_once: usize,
    make: impl Fn(usize) -> Call + Send + Sync + 'static,
) -> Result<Vec<Duration>> {
    let (next, make) = (Arc::new(AtomicUsize::new(0)), Arc::new(make));
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (target, next, make) = (target.clone(), next.clone(), make.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return anyhow::Ok(took);
                    }
                    let begun = Instant::now();
                    send(&target, make(number)).await?;
                    took.push(begun.elapsed());
                }
            })
        })
        .collect();
    let mut took = Vec::new();
    for worker in workers {
        took.extend(worker.await.context("a worker")??);
    }
    took.sort_unstable();
    Ok(took)
}

/// The median and the 99th percentile of sorted times, to print.
pub(super) fn percentiles(took: &[Duration]) -> String {
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    format!("p50 {:.1} ms, p99 {:.1} ms", at(0.5).as_secs_f64() * 1000.0, at(0.99).as_secs_f64() * 1000.0)
}
