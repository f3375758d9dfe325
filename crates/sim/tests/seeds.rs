//! Many worlds, each with faults of its own.

use cox_sim::{Mutant, Options, Violation, run};

/// How many seeds one test runs; `COX_SIM_SEEDS` sets another number.
const SEEDS: u64 = 50;

fn replay(violation: &Violation) -> String {
    format!("{violation}\n  again: cargo run -p cox-sim --example one -- {}", violation.seed)
}

/// The share of one of the tests below, which run side by side.
fn seeds(share: u64) {
    let number =
        std::env::var("COX_SIM_SEEDS").ok().map(|text| text.parse::<u64>().expect("COX_SIM_SEEDS: a number"));
    let number = number.unwrap_or(SEEDS);
    let from = share * number;
    let failures: Vec<String> = (from..from + number)
        .filter_map(|seed| run(seed, &Options::default()).err())
        .map(|it| replay(&it))
        .collect();
    assert!(failures.is_empty(), "{} of {number}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn seeds_of_the_first_quarter() {
    seeds(0);
}

#[test]
fn seeds_of_the_second_quarter() {
    seeds(1);
}

#[test]
fn seeds_of_the_third_quarter() {
    seeds(2);
}

#[test]
fn seeds_of_the_fourth_quarter() {
    seeds(3);
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
    let mut caught = 0;
    for seed in 0..12 {
        match run(seed, &options) {
            Err(violation) => {
                assert!(violation.what.contains(word), "{violation}");
                caught += 1;
            }
            // Where a fault of the store has broken the users' story off, there may have been nothing to go wrong.
            Ok(trace) => assert!(!trace.played, "a wrong part goes unnoticed: seed {seed}, {trace:?}"),
        }
        if caught == 3 {
            return;
        }
    }
    panic!("a wrong part goes unnoticed");
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

/// Where nodes fail, what is missing is nobody's fault: not every world can tell of these.
/// The rarest is told of by one world in some forty, and which one it is moves with every controller that is added.
fn caught_somewhere(mutant: Mutant, word: &str) {
    let options = Options { mutant: Some(mutant), ..Options::default() };
    let told =
        (0..60).filter_map(|seed| run(seed, &options).err()).find(|violation| violation.what.contains(word));
    assert!(told.is_some(), "a wrong part goes unnoticed");
}

#[test]
fn a_rollout_that_takes_too_much_is_caught() {
    caught_somewhere(Mutant::ShrinksTooFar, "needed are");
}

#[test]
fn a_budget_that_allows_too_much_is_caught() {
    caught_somewhere(Mutant::GenerousBudgets, "asks for");
}

#[test]
fn an_identity_that_runs_twice_is_caught() {
    caught_somewhere(Mutant::DeletesAtOnce, "two pods called");
}

#[test]
fn a_finalizer_that_stays_is_caught() {
    caught(Mutant::KeepsFinalizers, "keeps its finalizer");
}
