//! Starting over many objects: after an orderly end, and after `kill -9`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};

use super::load::{call, many, post, send};
use super::{Args, proc};
use crate::server::{Call, Running, Target};

/// What is stored where nothing is said, half of it pods, half ConfigMaps.
const OBJECTS: usize = 100_000;
/// How often each sort of end is measured.
const ROUNDS: usize = 5;
const COLLECTIONS: [&str; 2] = ["/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/configmaps"];

/// Measures the API server alone over the embedded store.
pub(super) async fn run(args: &Args, cox: &Path) -> Result<()> {
    let objects = args.objects.unwrap_or(OBJECTS);
    let mut running = Running::start(Some(cox), &["--no-node"]).await?;
    let target = Arc::new(running.target()?);
    let make = |number: usize| match number % 2 {
        0 => post(COLLECTIONS[0], super::api::pod(number)),
        _ => post(COLLECTIONS[1], config_map(number)),
    };
    many(&target, objects, args.connections, make).await?;
    let before = state(&target).await?;
    for signal in ["TERM", "KILL"] {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            took.push(running.restart(signal).await?);
            if state(&running.target()?).await? != before {
                bail!("something is lost after {signal}");
            }
        }
        took.sort_unstable();
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let (best, median, worst) = (millis(took[0]), millis(took[ROUNDS / 2]), millis(took[ROUNDS - 1]));
        let memory = proc::memory(running.pid())?.pss;
        println!(
            "restart: /readyz with {objects} objects {best:.0}-{worst:.0} ms after {signal}, median {median:.0} ms; {memory} kB (Pss)"
        );
    }
    Ok(())
}

/// A ConfigMap of a bit more than a kilobyte.
pub(super) fn config_map(number: usize) -> String {
    let filler: String = (1..=64u64)
        .map(|at| format!("{:016x}", (at + number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"c-{number}","labels":{{"app":"bench"}}}},"data":{{"n":"{number}","filler":"{filler}"}}}}"#
    )
}

/// How much there is, byte for byte: lists without what is made anew at each start.
async fn state(target: &Target) -> Result<Vec<(usize, u64)>> {
    let mut state = Vec::new();
    for path in COLLECTIONS {
        let body = send(target, Call { path: path.into(), ..call() }).await?;
        // The list's own revision is at its head and may have moved on.
        let items = body.windows(9).position(|window| window == b"\"items\":[").unwrap_or_default();
        let sum =
            body[items..].iter().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        state.push((body.len() - items, sum));
    }
    Ok(state)
}
