//! Which pods nobody needs any more. Pure.
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection>

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

/// A pod that goes, and whether it was disrupted by that (its DisruptionTarget message).
#[derive(Debug)]
pub(crate) struct Goes {
    pub(crate) pod: Arc<Pod>,
    pub(crate) disrupted: Option<&'static str>,
}

fn is_over(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// The pods that go: finished ones past the threshold (oldest first; 0 keeps all), orphans of nodes that are gone,
/// and unscheduled ones that were deleted. `nodes` are those that were known for long enough.
pub(crate) fn plan(pods: &[Arc<Pod>], nodes: &BTreeSet<String>, threshold: usize) -> Vec<Goes> {
    let mut goes = Vec::new();
    let node_of = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    let mut finished: Vec<&Arc<Pod>> = pods.iter().filter(|pod| is_over(pod)).collect();
    if threshold > 0 && finished.len() > threshold {
        finished.sort_by_key(|pod| {
            (pod.metadata.creation_timestamp.as_ref().map(|time| time.0), pod.metadata.name.clone())
        });
        let surplus = finished.len() - threshold;
        goes.extend(finished[..surplus].iter().map(|pod| Goes { pod: (*pod).clone(), disrupted: None }));
    }
    for pod in pods {
        let node = node_of(pod);
        if !node.is_empty() && !nodes.contains(&node) {
            let disrupted = (!is_over(pod)).then_some("PodGC: node no longer exists");
            goes.push(Goes { pod: pod.clone(), disrupted });
        } else if node.is_empty() && pod.metadata.deletion_timestamp.is_some() {
            goes.push(Goes { pod: pod.clone(), disrupted: None });
        }
    }
    let mut seen = BTreeSet::new();
    goes.retain(|goes| seen.insert(goes.pod.metadata.uid.clone()));
    goes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{at, pod};

    #[test]
    fn finished_beyond_the_threshold_orphaned_and_never_scheduled_pods_go() {
        let nodes = BTreeSet::from(["n".to_owned()]);
        let pods: Vec<Arc<Pod>> = [
            pod("a").running("n").phase("Succeeded").build(),
            pod("b").running("n").phase("Failed").build(),
            pod("c").running("n").build(),
            pod("d").running("gone").build(),
            pod("e").deleted(at(1)).build(),
            pod("f").build(),
        ]
        .into_iter()
        .map(Arc::new)
        .collect();
        let names = |threshold: usize| -> Vec<(String, bool)> {
            let goes = plan(&pods, &nodes, threshold);
            goes.iter()
                .map(|goes| (goes.pod.metadata.name.clone().unwrap(), goes.disrupted.is_some()))
                .collect()
        };
        assert_eq!(names(1), [("a".into(), false), ("d".into(), true), ("e".into(), false)]);
        assert_eq!(names(0), [("d".into(), true), ("e".into(), false)]);
    }
}
