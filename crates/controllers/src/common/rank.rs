//! Which pods go first when there are too many. The order is upstream's `ActivePodsWithRanks`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::owner::annotation;
use super::pods;

/// The pods of `candidates` in the order of deletion. `related` are all pods that count as doubled on a node (those
/// of every ReplicaSet of one owner).
pub(crate) fn for_deletion(candidates: &[Arc<Pod>], related: &[Arc<Pod>], now: Timestamp) -> Vec<Arc<Pod>> {
    let mut on_node: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in related.iter().filter(|pod| pods::is_active(pod)) {
        *on_node.entry(pods::node(pod)).or_default() += 1;
    }
    let mut ordered = candidates.to_vec();
    ordered.sort_by(|a, b| {
        let rank = |pod: &Pod| on_node.get(pods::node(pod)).copied().unwrap_or(0);
        compare(a, b, rank(a), rank(b), now)
    });
    ordered
}

fn compare(a: &Pod, b: &Pod, rank_a: usize, rank_b: usize, now: Timestamp) -> Ordering {
    let assigned = |pod: &Pod| !pods::node(pod).is_empty();
    let phase = |pod: &Pod| match pods::phase(pod) {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    };
    assigned(a)
        .cmp(&assigned(b))
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| pods::is_ready(a).cmp(&pods::is_ready(b)))
        .then_with(|| cost(a).cmp(&cost(b)))
        .then_with(|| rank_b.cmp(&rank_a))
        .then_with(|| {
            if pods::is_ready(a) && pods::is_ready(b) {
                younger_first(pods::ready_since(a), pods::ready_since(b), a, b, now)
            } else {
                Ordering::Equal
            }
        })
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| younger_first(created(a), created(b), a, b, now))
        .then_with(|| a.metadata.name.cmp(&b.metadata.name))
}

/// By age on a logarithmic scale, so that of pods of about the same age not always the newest goes.
fn younger_first(a: Option<Timestamp>, b: Option<Timestamp>, x: &Pod, y: &Pod, now: Timestamp) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return a.is_some().cmp(&b.is_some()) };
    if a == b {
        return Ordering::Equal;
    }
    let bucket = |since: Timestamp| {
        let seconds = now.as_second().saturating_sub(since.as_second());
        if seconds <= 0 { -1 } else { i64::from(seconds.ilog2()) }
    };
    bucket(a).cmp(&bucket(b)).then_with(|| x.metadata.uid.cmp(&y.metadata.uid))
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn cost(pod: &Pod) -> i32 {
    annotation(&pod.metadata, "controller.kubernetes.io/pod-deletion-cost")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.as_ref();
    let statuses = status.and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|container| container.restart_count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{at, pod};

    fn order(pods: Vec<Pod>) -> Vec<String> {
        let pods: Vec<Arc<Pod>> = pods.into_iter().map(Arc::new).collect();
        for_deletion(&pods, &pods, at(100_000)).iter().map(|pod| pod.metadata.name.clone().unwrap()).collect()
    }

    #[test]
    fn unassigned_pending_unready_cheap_and_young_pods_go_first() {
        let costly = |name: &str| {
            let mut pod = pod(name).running("n2").ready_at(at(0)).build();
            let cost = ("controller.kubernetes.io/pod-deletion-cost".to_owned(), "5".to_owned());
            pod.metadata.annotations = Some([cost].into());
            pod
        };
        let ordered = order(vec![
            costly("f"),
            pod("e").running("n2").ready_at(at(0)).build(),
            pod("d").running("n2").ready_at(at(99_990)).build(),
            pod("c").running("n1").build(),
            pod("b").pending("n1").build(),
            pod("a").pending("").build(),
        ]);
        assert_eq!(ordered, ["a", "b", "c", "d", "e", "f"]);
    }

    #[test]
    fn crowded_nodes_are_thinned_out_first() {
        let ready = |name: &str, node: &str| pod(name).running(node).ready_at(at(5)).build();
        assert_eq!(order(vec![ready("a", "n1"), ready("b", "n2"), ready("c", "n2")])[2], "a");
    }
}
