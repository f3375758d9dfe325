//! Scores by spreading: constraints that may be broken, and the system's default where a pod has none.

use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::SCORE_MAX;
use crate::filter::spread;
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::snapshot::Snapshot;

/// Fewer matching pods in a node's domains are better.
pub(super) fn scores(pod: &PodInfo, nodes: &[&NodeInfo], snapshot: &Snapshot) -> Vec<i64> {
    let counted = if pod.spread.is_empty() { defaults(pod, snapshot) } else { spread::count(pod, snapshot, "ScheduleAnyway") };
    if counted.is_empty() {
        return vec![0; nodes.len()];
    }
    let raw: Vec<Option<i64>> = nodes
        .iter()
        .map(|node| {
            let mut score = 0.0;
            for counted in &counted {
                let domain = node.labels.get(&counted.constraint.topology_key)?;
                let pods = counted.domains.get(domain).copied().unwrap_or(0) as f64;
                // Constraints with many domains weigh more, so that a few zones don't drown many hosts.
                let weight = ((counted.domains.len() + 2) as f64).ln();
                score += pods * weight + f64::from(counted.constraint.max_skew - 1);
            }
            Some(score.round() as i64)
        })
        .collect();
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

/// Upstream's system default: pods of one owner's labels over hosts (skew 3) and zones (skew 5).
fn defaults(pod: &PodInfo, snapshot: &Snapshot) -> Vec<spread::Counted> {
    let owned = pod.pod.metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true));
    if !owned || pod.labels.is_empty() {
        return Vec::new();
    }
    let selector = LabelSelector { match_labels: Some(pod.labels.clone()), match_expressions: None };
    let constraint = |key: &str, skew: i32| TopologySpreadConstraint {
        max_skew: skew,
        topology_key: key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(selector.clone()),
        ..TopologySpreadConstraint::default()
    };
    let alike = PodInfo {
        pod: pod.pod.clone(),
        uid: pod.uid.clone(),
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        labels: pod.labels.clone(),
        requests: pod.requests.clone(),
        score_requests: pod.score_requests.clone(),
        ports: Vec::new(),
        affinity: Vec::new(),
        anti_affinity: Vec::new(),
        spread: vec![constraint("kubernetes.io/hostname", 3)],
        terminating: false,
    };
    let mut counted = spread::count(&alike, snapshot, "ScheduleAnyway");
    let zoned = PodInfo { spread: vec![constraint("topology.kubernetes.io/zone", 5)], ..alike };
    counted.extend(spread::count(&zoned, snapshot, "ScheduleAnyway").into_iter().filter(|counted| !counted.domains.is_empty()));
    counted
}
