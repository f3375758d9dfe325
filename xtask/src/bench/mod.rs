//! `cargo xtask bench`: the figures of docs/performance.md, against fresh clusters.

mod api;
mod delivery;
mod load;
mod pods;
mod proc;
mod restart;
mod scheduling;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{server, setup};

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure; everything where nothing is named.
    #[arg(value_enum)]
    what: Vec<What>,
    /// The binary to measure; a release build is made where none is given.
    #[arg(long, overrides_with = "cox")]
    cox: Option<PathBuf>,
    /// How many objects are made: 10,000, or 100,000 for `restart`.
    #[arg(long)]
    objects: Option<usize>,
    /// How many requests are under way at once.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many make-believe nodes are scheduled to.
    #[arg(long, default_value_t = 5_000)]
    nodes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Creates, gets, lists, deletes over TLS; memory.
    Api,
    /// Real containers: creation to Ready, bursts, memory, processor time at rest.
    Pods,
    /// The scheduler over make-believe nodes.
    Scheduling,
    /// From starting the server over many objects to `/readyz`.
    Restart,
    /// From a change to 100 watchers over TLS.
    Watch,
}

impl Args {
    /// How many objects are made, where the figure has no number of its own.
    fn objects(&self) -> usize {
        self.objects.unwrap_or(10_000)
    }
}

/// Says to a process of the bench that it is in a network namespace of its own.
const INSIDE: &str = "COX_BENCH_INSIDE";

/// Measures and prints a line per figure.
pub async fn run(args: Args) -> Result<()> {
    let cox = match &args.cox {
        Some(cox) => cox.clone(),
        None => server::build(true)?,
    };
    let cox = std::path::absolute(cox)?;
    if cfg!(debug_assertions) || std::env::var_os(INSIDE).is_none() {
        return inside(&cox);
    }
    let wanted = |what: What| args.what.is_empty() || args.what.contains(&what);
    if wanted(What::Api) {
        api::run(&args, &cox).await?;
    }
    if wanted(What::Pods) {
        pods::run(&cox).await?;
    }
    if wanted(What::Scheduling) {
        scheduling::run(&args, &cox).await?;
    }
    if wanted(What::Restart) {
        restart::run(&args, &cox).await?;
    }
    if wanted(What::Watch) {
        delivery::run(&args, &cox).await?;
    }
    Ok(())
}

/// Runs an optimised build of this command in a network namespace, so that it doesn't bound what it measures, and
/// pods don't touch the machine's network.
fn inside(cox: &Path) -> Result<()> {
    setup::run()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--profile", "generator", "--package", "xtask"])
        .status()?;
    if !built.success() {
        bail!("the load generator could not be built");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let status = Command::new("unshare")
        .args(["--net", "/bin/busybox", "sh", "-c", "/bin/busybox ip link set lo up && exec \"$@\"", "bench"])
        .arg(std::path::absolute(target.join("generator/xtask"))?)
        .args(std::env::args_os().skip(1))
        .arg("--cox")
        .arg(cox)
        .env(INSIDE, "1")
        .status()
        .context("unshare: the bench needs root and util-linux")?;
    if !status.success() {
        bail!("the bench failed");
    }
    Ok(())
}
