//! Pod affinity and anti-affinity that is required.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity>

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PodAffinityTerm;

use crate::node::NodeInfo;
use crate::pod::PodInfo;
use crate::selector::{self, Labels};
use crate::snapshot::Snapshot;

/// A topology: a label of nodes and its value.
type Topology = (String, String);

/// Where pods are that matter, by topology.
pub(crate) struct Prepared {
    /// For each affinity term of the pod: the topologies with a pod that matches.
    wanted: Vec<BTreeSet<Topology>>,
    /// Topologies with a pod that the pod's anti-affinity matches.
    shunned: BTreeSet<Topology>,
    /// Topologies of pods whose anti-affinity matches the pod.
    shunning: BTreeSet<Topology>,
    /// Whether no pod anywhere matches the affinity, but the pod itself does: then it may be the first.
    first: bool,
}

/// Whether a term of `owner` is about `other`.
pub(crate) fn about(
    term: &PodAffinityTerm,
    owner: &PodInfo,
    other: &PodInfo,
    namespaces: &BTreeMap<String, Labels>,
) -> bool {
    let listed = term.namespaces.as_deref().unwrap_or_default();
    let namespace = match &term.namespace_selector {
        None if listed.is_empty() => other.namespace == owner.namespace,
        None => listed.contains(&other.namespace),
        Some(selector) => {
            let none = Labels::new();
            let labels = namespaces.get(&other.namespace).unwrap_or(&none);
            listed.contains(&other.namespace) || selector::matches(Some(selector), labels)
        }
    };
    namespace && selector::matches(term.label_selector.as_ref(), &other.labels)
}

impl Prepared {
    pub(crate) fn new(pod: &PodInfo, snapshot: &Snapshot) -> Prepared {
        let mut prepared = Prepared {
            wanted: vec![BTreeSet::new(); pod.affinity.len()],
            shunned: BTreeSet::new(),
            shunning: BTreeSet::new(),
            first: false,
        };
        let namespaces = &snapshot.namespaces;
        for node in snapshot.shunning() {
            let topology = |key: &str| node.labels.get(key).map(|value| (key.to_owned(), value.clone()));
            for other in node.pods.values() {
                for term in &other.anti_affinity {
                    if about(term, other, pod, namespaces) {
                        prepared.shunning.extend(topology(&term.topology_key));
                    }
                }
            }
        }
        if pod.affinity.is_empty() && pod.anti_affinity.is_empty() {
            return prepared;
        }
        for node in snapshot.nodes() {
            let topology = |key: &str| node.labels.get(key).map(|value| (key.to_owned(), value.clone()));
            for other in node.pods.values() {
                for (term, found) in pod.affinity.iter().zip(&mut prepared.wanted) {
                    if about(term, pod, other, namespaces) {
                        found.extend(topology(&term.topology_key));
                    }
                }
                for term in &pod.anti_affinity {
                    if about(term, pod, other, namespaces) {
                        prepared.shunned.extend(topology(&term.topology_key));
                    }
                }
            }
        }
        prepared.first = prepared.wanted.iter().all(BTreeSet::is_empty)
            && pod.affinity.iter().all(|term| about(term, pod, pod, namespaces));
        prepared
    }

    /// Whether no other pod matters.
    pub(crate) fn is_trivial(&self) -> bool {
        self.wanted.is_empty() && self.shunned.is_empty() && self.shunning.is_empty()
    }

    pub(crate) fn check(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), String> {
        let here = |set: &BTreeSet<Topology>, key: &str| {
            node.labels.get(key).is_some_and(|value| set.contains(&(key.to_owned(), value.clone())))
        };
        let affine = pod.affinity.iter().zip(&self.wanted).all(|(term, found)| {
            node.labels.contains_key(&term.topology_key) && (self.first || here(found, &term.topology_key))
        });
        if !affine {
            return Err("node(s) didn't match pod affinity rules".into());
        }
        if pod.anti_affinity.iter().any(|term| here(&self.shunned, &term.topology_key)) {
            return Err("node(s) didn't match pod anti-affinity rules".into());
        }
        let shunned = self.shunning.iter().any(|(key, value)| node.labels.get(key) == Some(value));
        if shunned {
            return Err("node(s) didn't satisfy existing pods anti-affinity rules".into());
        }
        Ok(())
    }
}
