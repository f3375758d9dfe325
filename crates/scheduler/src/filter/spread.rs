//! Topology spread constraints that must hold.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/>

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::TopologySpreadConstraint;

use crate::filter::{affinity, taints};
use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::selector;
use crate::snapshot::Snapshot;

/// A constraint with how many matching pods each of its domains has.
pub(crate) struct Counted {
    pub(crate) constraint: TopologySpreadConstraint,
    pub(crate) domains: BTreeMap<String, i64>,
    own: i64,
}

/// All hard constraints of a pod.
pub(crate) struct Prepared(Vec<Counted>);

/// Counts matching pods by domain, for constraints with this `whenUnsatisfiable`.
pub(crate) fn count(pod: &PodInfo, snapshot: &Snapshot, when: &str) -> Vec<Counted> {
    let wanted: Vec<_> =
        pod.spread.iter().filter(|constraint| constraint.when_unsatisfiable == when).cloned().collect();
    let keys: Vec<String> = wanted.iter().map(|constraint| constraint.topology_key.clone()).collect();
    wanted
        .into_iter()
        .map(|constraint| {
            let mut domains: BTreeMap<String, i64> = BTreeMap::new();
            for node in snapshot.nodes().filter(|node| keys.iter().all(|key| node.labels.contains_key(key))) {
                if !eligible(pod, node, &constraint) {
                    continue;
                }
                let Some(domain) = node.labels.get(&constraint.topology_key) else { continue };
                *domains.entry(domain.clone()).or_default() += on_node(pod, node, &constraint);
            }
            let own = i64::from(selector::matches(constraint.label_selector.as_ref(), &pod.labels));
            Counted { constraint, domains, own }
        })
        .collect()
}

fn eligible(pod: &PodInfo, node: &NodeInfo, constraint: &TopologySpreadConstraint) -> bool {
    let honor = |policy: Option<&str>, default: &str| policy.unwrap_or(default) == "Honor";
    (!honor(constraint.node_affinity_policy.as_deref(), "Honor") || affinity::matches(pod, node))
        && (!honor(constraint.node_taints_policy.as_deref(), "Ignore") || !taints::untolerated(pod, node))
}

fn on_node(pod: &PodInfo, node: &NodeInfo, constraint: &TopologySpreadConstraint) -> i64 {
    let counts = |other: &&std::sync::Arc<PodInfo>| {
        other.namespace == pod.namespace
            && !other.terminating
            && selector::matches(constraint.label_selector.as_ref(), &other.labels)
    };
    i64::try_from(node.pods.values().filter(counts).count()).unwrap_or(i64::MAX)
}

impl Prepared {
    pub(crate) fn new(pod: &PodInfo, snapshot: &Snapshot) -> Prepared {
        Prepared(count(pod, snapshot, "DoNotSchedule"))
    }

    pub(crate) fn check(&self, node: &NodeInfo) -> Result<(), String> {
        for counted in &self.0 {
            let key = &counted.constraint.topology_key;
            let Some(domain) = node.labels.get(key) else {
                return Err(
                    "node(s) didn't match pod topology spread constraints (missing required label)".into()
                );
            };
            let too_few = counted
                .constraint
                .min_domains
                .is_some_and(|min| i64::try_from(counted.domains.len()).unwrap_or(0) < i64::from(min));
            let least = if too_few { 0 } else { counted.domains.values().min().copied().unwrap_or(0) };
            let here = counted.domains.get(domain).copied().unwrap_or(0);
            if here + counted.own - least > i64::from(counted.constraint.max_skew) {
                return Err("node(s) didn't match pod topology spread constraints".into());
            }
        }
        Ok(())
    }
}
