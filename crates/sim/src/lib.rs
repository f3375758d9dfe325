//! A whole cluster in one thread under virtual time: the real API server on the memory store, the real controllers
//! and scheduler, make-believe kubelets, faults drawn from a seed, and invariants that are checked at every commit.
//!
//! A world is a function of its seed: [`run`] twice with one seed commits the same, [`Trace`] tells whether it did.

mod faults;
mod invariants;
mod kubelet;
mod machines;
mod observer;
mod orphans;
mod scenario;
mod settled;
mod world;

use std::time::Duration;

/// How a world is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes there are; at least 1.
    pub nodes: usize,
    /// How long faults happen, in virtual time.
    pub faults_last: Duration,
    /// How long the world may take to converge once they have stopped, in virtual time.
    pub converge_max: Duration,
    /// A part that is wrong on purpose.
    pub mutant: Option<Mutant>,
    /// Print every commit to standard error: virtual time, revision, type, key.
    pub tell: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            nodes: 3,
            faults_last: Duration::from_secs(60),
            converge_max: Duration::from_secs(900),
            mutant: None,
            tell: false,
        }
    }
}

/// A part that is wrong on purpose, to show that the invariants tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A kubelet runs the pods of other nodes too.
    RunsOthersPods,
    /// A kubelet reports pods as ready that it doesn't run.
    ReadyUnstarted,
    /// The way to the API makes every pod twice.
    DuplicateCreates,
    /// Whoever scales a ReplicaSet up asks for more than was decided.
    ScalesTooFar,
    /// Whoever scales a ReplicaSet down takes all of it.
    ShrinksTooFar,
    /// Whoever says how many pods may be evicted says too many.
    GenerousBudgets,
    /// A controller deletes pods at once, whether or not they have ended where they run.
    DeletesAtOnce,
    /// Patches that would take off a Job's finalizer are answered but not carried out.
    KeepsFinalizers,
}

/// What a world did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Over revision, key and type of every committed change, in order.
    pub hash: u64,
    /// The last revision.
    pub revision: u64,
    /// Virtual time until everything had converged.
    pub elapsed: Duration,
    /// Whether the users' story came to its end: a fault of the store may have broken it off.
    pub played: bool,
}

/// What must hold and didn't.
#[derive(Clone, Debug, thiserror::Error)]
#[error("seed {seed}, {elapsed:?} in, at revision {revision}: {what}")]
pub struct Violation {
    /// The world's seed.
    pub seed: u64,
    /// Virtual time since the start.
    pub elapsed: Duration,
    /// The store's revision.
    pub revision: u64,
    /// What was wrong.
    pub what: String,
}

/// Runs a world in this thread, on a runtime of its own.
///
/// # Errors
/// The first invariant that didn't hold, or what hasn't converged in time.
///
/// # Panics
/// Inside another runtime, or where the operating system has no resources for one.
pub fn run(seed: u64, options: &Options) -> Result<Trace, Violation> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    runtime.block_on(world::World::live(seed, options))
}
