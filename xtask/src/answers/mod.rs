//! `cargo xtask answers`: replays recorded exchanges with upstream's API server against a fresh one of ours
//! and prints how much of each topic agrees.

mod compare;
mod diff;
mod play;
mod report;
mod scenario;
mod template;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures::stream::{self, StreamExt};

use crate::server::{Running, Target};

/// How many scenarios are played side by side.
const SIDE_BY_SIDE: usize = 16;

/// Arguments of `cargo xtask answers`.
#[derive(clap::Args)]
pub struct Args {
    /// TOPIC or TOPIC/NAME; everything where none is given.
    what: Vec<String>,
    /// Where the recorded exchanges are.
    #[arg(long, default_value = "../shared/upstream/answers")]
    from: PathBuf,
    /// A running server (https://HOST:PORT) instead of a fresh one.
    #[arg(long, requires_all = ["token", "ca"])]
    server: Option<String>,
    /// The administrator's bearer token of --server.
    #[arg(long)]
    token: Option<String>,
    /// The file with the certificate authority of --server.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// How many differences of a scenario are shown.
    #[arg(long, default_value_t = 5)]
    differences: usize,
    /// Only the shares, no differences.
    #[arg(long, short)]
    quiet: bool,
    /// Fails below the shares (steps that agree, by topic) written in this file; raises them where they rose.
    #[arg(long)]
    floor: Option<PathBuf>,
    /// The binary to start.
    #[arg(long)]
    cox: Option<PathBuf>,
}

/// Plays everything quietly against a fresh server of this binary and holds the floor.
pub async fn hold_floor(
    from: &std::path::Path,
    floor: &std::path::Path,
    cox: &std::path::Path,
) -> Result<()> {
    run(Args {
        what: Vec::new(),
        from: from.to_owned(),
        server: None,
        token: None,
        ca: None,
        differences: 0,
        quiet: true,
        floor: Some(floor.to_owned()),
        cox: Some(cox.to_owned()),
    })
    .await
}

/// Plays the scenarios and prints the shares.
pub async fn run(args: Args) -> Result<()> {
    let scenarios = scenario::load(&args.from, &args.what)?;
    if scenarios.is_empty() {
        bail!("no scenario in {} is named {}", args.from.display(), args.what.join(", "));
    }
    let (target, running) = match (&args.server, &args.token, &args.ca) {
        (Some(url), Some(token), Some(ca)) => (Target::new(url, token, ca)?, None),
        _ => {
            let running = Running::start(args.cox.as_deref(), &["--no-node", "--store", "memory"]).await?;
            (running.target()?, Some(running))
        }
    };
    let target = Arc::new(target);
    let orders: BTreeSet<i64> = scenarios.iter().map(|scenario| scenario.order).collect();
    let mut results = Vec::new();
    for order in orders {
        // Those of tables, lists of everything and the like come before or after the others.
        let width = if order == 50 { SIDE_BY_SIDE } else { SIDE_BY_SIDE / 2 };
        let (alone, beside): (Vec<_>, Vec<_>) =
            scenarios.iter().filter(|scenario| scenario.order == order).partition(|scenario| scenario.alone);
        for (batch, width) in [(beside, width), (alone, 1)] {
            let played: Vec<_> = stream::iter(batch)
                .map(|scenario| {
                    let target = target.clone();
                    async move { play::play(&target, scenario).await.with_context(|| scenario.name.clone()) }
                })
                .buffered(width)
                .collect()
                .await;
            for result in played {
                results.push(result?);
            }
        }
    }
    if let Some(floor) = &args.floor {
        play_again(&target, &scenarios, &mut results, floor).await?;
    }
    drop(running);
    report::print(&results, args.quiet, args.differences);
    match &args.floor {
        Some(floor) => report::hold_floor(&results, floor),
        None => Ok(()),
    }
}

/// Of topics that are below their floor, plays what differed once more, one by one: on a machine that stood still for a
/// moment a second may have passed between two steps. What differs again counts, and what was played again is told.
async fn play_again(
    target: &Target,
    scenarios: &[scenario::Scenario],
    results: &mut [play::Played],
    floor: &std::path::Path,
) -> Result<()> {
    let below = report::below(results, floor)?;
    for played in results.iter_mut().filter(|played| below.contains(&played.topic)) {
        let failed =
            |played: &play::Played| played.steps.iter().filter(|(_, found)| !found.is_empty()).count();
        let Some(scenario) = scenarios.iter().find(|scenario| scenario.name == played.name) else { continue };
        if failed(played) == 0 {
            continue;
        }
        let again = play::play(target, scenario).await.with_context(|| scenario.name.clone())?;
        if failed(&again) < failed(played) {
            println!(
                "{} differed in {} steps, and in {} when it was played again",
                played.name,
                failed(played),
                failed(&again)
            );
            *played = again;
        }
    }
    Ok(())
}
