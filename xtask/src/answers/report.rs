//! Shares by topic, differences for people, and a floor that only rises.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::play::Played;

#[derive(Default, Clone, Copy)]
struct Share {
    scenarios: usize,
    scenarios_ok: usize,
    steps: usize,
    steps_ok: usize,
}

fn shares(results: &[Played]) -> BTreeMap<String, Share> {
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for played in results {
        let ok = played.steps.iter().filter(|(_, found)| found.is_empty()).count();
        for topic in [played.topic.as_str(), "~ all"] {
            let share = shares.entry(topic.to_owned()).or_default();
            share.scenarios += 1;
            share.scenarios_ok += usize::from(ok == played.steps.len());
            share.steps += played.steps.len();
            share.steps_ok += ok;
        }
    }
    shares
}

/// Prints differences (unless `quiet`) and the shares.
pub fn print(results: &[Played], quiet: bool, differences_max: usize) {
    if !quiet {
        print_differences(results.iter(), differences_max);
    }
    println!("{:<14} {:>9} {:>12} {:>8}", "topic", "scenarios", "steps", "agree");
    for (topic, share) in shares(results) {
        println!(
            "{:<14} {:>4}/{:<4} {:>6}/{:<6} {:>7.1}%",
            topic,
            share.scenarios_ok,
            share.scenarios,
            share.steps_ok,
            share.steps,
            100.0 * share.steps_ok as f64 / share.steps.max(1) as f64
        );
    }
}

fn print_differences<'a>(results: impl Iterator<Item = &'a Played>, differences_max: usize) {
    for played in results {
        let failed: Vec<_> = played.steps.iter().filter(|(_, found)| !found.is_empty()).collect();
        if failed.is_empty() {
            continue;
        }
        println!(
            "{} ({} of {} steps agree)",
            played.name,
            played.steps.len() - failed.len(),
            played.steps.len()
        );
        for (step, found) in failed {
            println!("  {step}");
            for line in found.iter().take(differences_max) {
                println!("    {line}");
            }
            if found.len() > differences_max {
                println!("    ... and {} more", found.len() - differences_max);
            }
        }
    }
    println!();
}

fn read_floor(file: &Path) -> Result<(String, BTreeMap<String, usize>)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let mut floor: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (topic, steps) = line.rsplit_once(' ').with_context(|| format!("{}: {line}", file.display()))?;
        floor.insert(topic.trim().to_owned(), steps.trim().parse()?);
    }
    Ok((text, floor))
}

/// The topics of which fewer steps agree than the file says.
pub fn below(results: &[Played], file: &Path) -> Result<Vec<String>> {
    let (_, floor) = read_floor(file)?;
    let below = shares(results)
        .into_iter()
        .filter(|(topic, share)| floor.get(topic).is_some_and(|known| share.steps_ok < *known));
    Ok(below.map(|(topic, _)| topic).collect())
}

/// Fails where fewer steps of a topic agree than the file says, showing what differs in that topic, and raises
/// the file's numbers.
pub fn hold_floor(results: &[Played], file: &Path) -> Result<()> {
    let (text, mut floor) = read_floor(file)?;
    let mut below = Vec::new();
    for (topic, share) in shares(results).into_iter().filter(|(topic, _)| !topic.starts_with('~')) {
        let known = floor.entry(topic.clone()).or_insert(0);
        if share.steps_ok < *known {
            print_differences(results.iter().filter(|played| played.topic == topic), 1);
            below.push(format!("{topic}: {} steps agree, the floor is {known}", share.steps_ok));
        }
        *known = (*known).max(share.steps_ok);
    }
    if !below.is_empty() {
        bail!("below the floor of {}:\n  {}", file.display(), below.join("\n  "));
    }
    let mut raised = String::from(
        "# Steps that agree with upstream, by topic. `cargo xtask answers --floor` raises them.\n",
    );
    for (topic, steps) in &floor {
        raised.push_str(&format!("{topic} {steps}\n"));
    }
    if raised != text {
        std::fs::write(file, raised).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}
