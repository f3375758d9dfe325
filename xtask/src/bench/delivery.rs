//! Delivery: changes at a steady rate, and when each of many watchers over TLS has them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http_body_util::BodyExt;
use tokio::task::JoinHandle;

use super::load::{call, many, percentiles, post, send};
use super::restart::config_map;
use super::{Args, proc};
use crate::server::{Call, Running, Target};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const WATCHERS: usize = 100;
/// Changes a second, one every millisecond.
const RATE: u64 = 1_000;
const SECONDS: u64 = 20;
const CHANGES: u64 = RATE * SECONDS;
/// Objects that are changed in turn.
const OBJECTS: u64 = 1_000;
/// Connections that write.
const WRITERS: u64 = 16;
/// How long the last event may take to every watcher.
const LAST: Duration = Duration::from_secs(60);
/// What stands before the number of a change in its object.
const NUMBER: &[u8] = b"\"n\":\"";

/// When things happened, in microseconds since the start.
struct Times {
    start: Instant,
    sent: Vec<AtomicU64>,
    answered: Vec<AtomicU64>,
}

impl Times {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Measures the API server alone.
pub(super) async fn run(args: &Args, cox: &Path) -> Result<()> {
    let running = Running::start(Some(cox), &["--no-node"]).await?;
    let target = Arc::new(running.target()?);
    many(&target, OBJECTS as usize, args.connections, |number| post(MAPS, config_map(number))).await?;
    let zeros = || (0..CHANGES).map(|_| AtomicU64::new(0)).collect();
    let times = Arc::new(Times { start: Instant::now(), sent: zeros(), answered: zeros() });
    // What the watch begins with was made above.
    let revision = revision(&target).await?;
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        watchers.push(watcher(&target, &revision, times.clone()).await?);
    }
    let used = proc::processor_seconds(running.pid())?;
    let begun = times.start.elapsed();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(target.clone(), times.clone(), begun, writer)))
        .collect();
    for writer in writers {
        writer.await.context("a writer")??;
    }
    let wrote = times.start.elapsed() - begun;
    let mut from_sent = Vec::new();
    let mut from_answer = Vec::new();
    let mut reads = 0;
    for watcher in watchers {
        let seen = tokio::time::timeout(LAST, watcher)
            .await
            .context("a watcher has not seen everything in a minute")???;
        reads += seen.reads;
        for (at, arrived) in seen.arrived.into_iter().enumerate() {
            let since = |times: &[AtomicU64]| {
                Duration::from_micros(arrived.saturating_sub(times[at].load(Ordering::Relaxed)))
            };
            from_sent.push(since(&times.sent));
            from_answer.push(since(&times.answered));
        }
    }
    let all = times.start.elapsed() - begun;
    from_sent.sort_unstable();
    from_answer.sort_unstable();
    let cores = (proc::processor_seconds(running.pid())? - used) / all.as_secs_f64();
    println!(
        "watch: {:.0} changes/s to {WATCHERS} watchers over TLS, {} events; from sending {}; from the answer {}; last after {:.0} ms",
        CHANGES as f64 / wrote.as_secs_f64(),
        from_sent.len(),
        percentiles(&from_sent),
        percentiles(&from_answer),
        (all - wrote).as_secs_f64() * 1000.0,
    );
    println!(
        "watch: {:.1} events a read, the server at {cores:.2} cores, {} kB (Pss)",
        from_sent.len() as f64 / reads as f64,
        proc::memory(running.pid())?.pss
    );
    Ok(())
}

async fn revision(target: &Target) -> Result<String> {
    let query = vec![("limit".into(), "1".into())];
    let list: serde_json::Value =
        serde_json::from_slice(&send(target, Call { path: MAPS.into(), query, ..call() }).await?)?;
    Ok(list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned())
}

/// Changes every so manieth object, each at its time.
async fn write(target: Arc<Target>, times: Arc<Times>, begun: Duration, writer: u64) -> Result<()> {
    for change in (writer..CHANGES).step_by(WRITERS as usize) {
        let at = times.start + begun + Duration::from_millis(change * 1000 / RATE);
        tokio::time::sleep_until(at.into()).await;
        // No change says what its object says already: that would be no write.
        let (number, name) = (change + OBJECTS, format!("c-{}", change % OBJECTS));
        let body = config_map(usize::try_from(number)?).replacen(&format!("c-{number}"), &name, 1);
        let put = Call {
            method: "PUT".into(),
            path: format!("{MAPS}/{name}"),
            body: Some(body.into_bytes()),
            ..call()
        };
        let place = usize::try_from(change)?;
        times.sent[place].store(times.now(), Ordering::Relaxed);
        send(&target, put).await?;
        times.answered[place].store(times.now(), Ordering::Relaxed);
    }
    Ok(())
}

/// What a watcher saw.
struct Seen {
    /// When each change came.
    arrived: Vec<u64>,
    /// How many pieces they came in.
    reads: usize,
}

/// Watches on a connection of its own until it has seen every change.
async fn watcher(
    target: &Arc<Target>,
    revision: &str,
    times: Arc<Times>,
) -> Result<JoinHandle<Result<Seen>>> {
    let query = vec![("watch".into(), "1".into()), ("resourceVersion".into(), revision.into())];
    let response = target.begin(Call { path: MAPS.into(), query, ..call() }).await?;
    if response.status() != 200 {
        bail!("the watch is answered with {}", response.status());
    }
    Ok(tokio::spawn(async move {
        let mut body = response.into_body();
        let mut seen = Seen { arrived: vec![0; usize::try_from(CHANGES)?], reads: 0 };
        let mut left = CHANGES;
        let mut rest: Vec<u8> = Vec::new();
        while left > 0 {
            let frame = body.frame().await.context("the watch ended")??;
            let now = times.now();
            seen.reads += 1;
            rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            let mut begin = 0;
            while let Some(length) = memchr::memchr(b'\n', &rest[begin..]) {
                let line = &rest[begin..begin + length];
                let number = number(line).context("an event without its number")?;
                let change = number.checked_sub(OBJECTS as usize).context("an object as it was before")?;
                let place = seen.arrived.get_mut(change).context("a number that nobody wrote")?;
                if std::mem::replace(place, now) != 0 {
                    bail!("change {number} came twice");
                }
                left -= 1;
                begin += length + 1;
            }
            rest.drain(..begin);
        }
        Ok(seen)
    }))
}

/// The number of a change: it stands in `data`, after the metadata.
fn number(line: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(line, NUMBER)? + NUMBER.len();
    let end = memchr::memchr(b'"', &line[at..])?;
    std::str::from_utf8(&line[at..at + end]).ok()?.parse().ok()
}
