//! Scores by spreading: constraints that may be broken, and the system's default where a pod has none.

use std::collections::BTreeMap;

use super::{Raw, SCORE_MAX};
use crate::filter::spread;
use crate::pod::PodInfo;
use crate::snapshot::Snapshot;

const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
/// Upstream's system default: pods of one controller over hosts (skew 3) and zones (skew 5).
const HOST_SKEW: f64 = 3.0;
const ZONE_SKEW: f64 = 5.0;

/// Fewer matching pods in a node's domains are better.
pub(super) fn scores(pod: &PodInfo, nodes: &[(usize, Raw)], snapshot: &Snapshot) -> Vec<i64> {
    let raw = if pod.spread.is_empty() {
        by_group(pod, nodes, snapshot)
    } else {
        by_constraints(pod, nodes, snapshot)
    };
    let Some(raw) = raw else { return vec![0; nodes.len()] };
    let known: Vec<i64> = raw.iter().flatten().copied().collect();
    let (min, max) = (known.iter().copied().min().unwrap_or(0), known.iter().copied().max().unwrap_or(0));
    raw.into_iter()
        .map(|score| match score {
            None => 0,
            Some(_) if max == 0 => SCORE_MAX,
            Some(score) => SCORE_MAX * (max + min - score) / max,
        })
        .collect()
}

/// Constraints with many domains weigh more, so that a few zones don't drown many hosts.
fn weight(domains: usize) -> f64 {
    ((domains + 2) as f64).ln()
}

fn by_constraints(pod: &PodInfo, nodes: &[(usize, Raw)], snapshot: &Snapshot) -> Option<Vec<Option<i64>>> {
    let counted = spread::count(pod, snapshot, "ScheduleAnyway");
    if counted.is_empty() {
        return None;
    }
    let score = |slot: usize| {
        let mut score = 0.0;
        for counted in &counted {
            let domain = snapshot.at(slot).labels.get(&counted.constraint.topology_key)?;
            let pods = counted.domains.get(domain).copied().unwrap_or(0) as f64;
            score += pods * weight(counted.domains.len()) + f64::from(counted.constraint.max_skew - 1);
        }
        Some(score.round() as i64)
    };
    Some(nodes.iter().map(|(slot, _)| score(*slot)).collect())
}

/// The default: by how many pods of the same controller there are. The counts are kept, not taken.
fn by_group(pod: &PodInfo, nodes: &[(usize, Raw)], snapshot: &Snapshot) -> Option<Vec<Option<i64>>> {
    pod.group.as_ref()?;
    let none = BTreeMap::new();
    let counts = snapshot.group(pod).unwrap_or(&none);
    let mut zones: BTreeMap<&str, i64> = BTreeMap::new();
    for (slot, count) in counts {
        if let Some(zone) = snapshot.at(*slot).labels.get(ZONE) {
            *zones.entry(zone).or_default() += count;
        }
    }
    // Domains without a pod count as well; as many as the nodes looked at show.
    let mut seen_zones: std::collections::BTreeSet<&str> = zones.keys().copied().collect();
    seen_zones
        .extend(nodes.iter().filter_map(|(slot, _)| snapshot.at(*slot).labels.get(ZONE)).map(String::as_str));
    let (host_weight, zone_weight) = (weight(snapshot.len()), weight(seen_zones.len()));
    let score = |slot: usize| {
        let labels = &snapshot.at(slot).labels;
        labels.get(HOST)?;
        let mut score = counts.get(&slot).copied().unwrap_or(0) as f64 * host_weight + HOST_SKEW - 1.0;
        if !seen_zones.is_empty() {
            let zone = labels.get(ZONE)?;
            score += zones.get(zone.as_str()).copied().unwrap_or(0) as f64 * zone_weight + ZONE_SKEW - 1.0;
        }
        Some(score.round() as i64)
    };
    Some(nodes.iter().map(|(slot, _)| score(*slot)).collect())
}
