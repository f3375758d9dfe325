//! Many worlds, each with faults of its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use cox_sim::{Mutant, Options, Violation, run};

const SEEDS: u64 = 200;

fn replay(violation: &Violation) -> String {
    format!("{violation}\n  again: COX_SIM_SEED={} cargo nextest run -p cox-sim seeds", violation.seed)
}

/// Every seed, or the one that `COX_SIM_SEED` names; `COX_SIM_SEEDS` sets how many. One
/// seed alone prints what it commits.
#[test]
fn seeds() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let (first, end) = match number("COX_SIM_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, number("COX_SIM_SEEDS").unwrap_or(SEEDS)),
    };
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    if let Err(violation) =
                        run(seed, &Options { tell: first + 1 == end, ..Options::default() })
                    {
                        failures.lock().unwrap().push(replay(&violation));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), end - first, failures.join("\n"));
}

#[test]
fn a_seed_replays() {
    for seed in [1, 2, 3] {
        let options = Options::default();
        let (first, second) = (run(seed, &options), run(seed, &options));
        let traces =
            (first.map_err(|violation| replay(&violation)), second.map_err(|violation| replay(&violation)));
        assert_eq!(traces.0, traces.1, "seed {seed}");
    }
    assert_ne!(
        run(1, &Options::default()).ok().map(|trace| trace.hash),
        run(2, &Options::default()).ok().map(|trace| trace.hash)
    );
}

fn caught(mutant: Mutant, word: &str) {
    let options = Options { mutant: Some(mutant), ..Options::default() };
    for seed in 0..3 {
        let violation = run(seed, &options).expect_err("a wrong part goes unnoticed");
        assert!(violation.what.contains(word), "{violation}");
    }
}

#[test]
fn a_kubelet_that_runs_others_pods_is_caught() {
    caught(Mutant::RunsOthersPods, "runs on");
}

#[test]
fn a_kubelet_that_lies_is_caught() {
    caught(Mutant::ReadyUnstarted, "is ready on");
}

#[test]
fn pods_made_twice_are_caught() {
    caught(Mutant::DuplicateCreates, "allowed are");
}

#[test]
fn a_deployment_beyond_its_bounds_is_caught() {
    caught(Mutant::ScalesTooFar, "its bounds allow");
}

#[test]
fn a_finalizer_that_stays_is_caught() {
    caught(Mutant::KeepsFinalizers, "keeps its finalizer");
}
