//! `cargo xtask test`: everything that has to pass, from nothing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{answers, server, setup};

/// Where upstream's recorded answers are, where they are.
const ANSWERS: &str = "../shared/upstream/answers";
/// Where property tests get their random values from.
const SEED: &str = "PROPTEST_RNG_SEED";
/// What of them has to agree.
const FLOOR: &str = "xtask/answers.floor";

/// Builds once, then runs unit tests, simulation, end-to-end tests, and the recorded answers where they are.
pub async fn run() -> Result<()> {
    let kubectl = setup::run()?;
    let python = setup::python()?;
    let cox = std::path::absolute(server::build(false)?)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let nextest =
        Command::new(&cargo).args(["nextest", "--version"]).output().is_ok_and(|out| out.status.success());
    let mut command = Command::new(&cargo);
    if nextest {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--no-fail-fast"]);
    }
    command.env("KUBECTL", kubectl).env("PYTHON", python).env("COX_BIN", &cox);
    // The same random values every time: a run that fails is one that can be repeated. `FUZZ_CASES=20000 cargo nextest
    // run -p cox-api --test fuzz` looks further.
    if std::env::var_os(SEED).is_none() {
        command.env(SEED, "1");
    }
    let status = command.status().context("running the tests")?;
    if !status.success() {
        bail!("tests failed");
    }
    if Path::new(ANSWERS).exists() {
        answers::hold_floor(Path::new(ANSWERS), Path::new(FLOOR), &cox).await?;
    } else {
        eprintln!("upstream's recorded answers are not beside this checkout: not compared");
    }
    Ok(())
}
