//! Which nodes get a pod of a DaemonSet, which pods go, and how an update goes through the nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{
    Affinity, Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec,
    Toleration,
};

use crate::common::intstr::scaled;
use crate::common::owner::{controller_reference, name, namespace, uid};
use crate::common::revisions::REVISION_LABEL;
use crate::common::{nodes, pods};

/// Taints of nodes in trouble that a daemon stays through. Source: upstream's `AddOrUpdateDaemonPodTolerations`.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";
/// Pods made or deleted in one go (upstream's `BurstReplicas`).
const BURST: usize = 250;

/// What is known.
pub(crate) struct Input<'a> {
    pub(crate) set: &'a DaemonSet,
    pub(crate) nodes: &'a [Arc<Node>],
    /// The pods that it controls.
    pub(crate) pods: &'a [Arc<Pod>],
    /// The hash of the current revision.
    pub(crate) hash: &'a str,
}

/// What to do.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Pods to make.
    pub(crate) create: Vec<Pod>,
    /// Pods to delete.
    pub(crate) delete: Vec<Arc<Pod>>,
    /// (is a warning, reason, message)
    pub(crate) events: Vec<(bool, &'static str, String)>,
    /// The status to write.
    pub(crate) status: Option<DaemonSetStatus>,
}

/// The node that a pod is or will be on.
pub(super) fn node_of(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = spec.node_name.as_deref().filter(|node| !node.is_empty()) {
        return Some(node);
    }
    let terms = &spec
        .affinity
        .as_ref()?
        .node_affinity
        .as_ref()?
        .required_during_scheduling_ignored_during_execution
        .as_ref()?
        .node_selector_terms;
    terms
        .iter()
        .flat_map(|term| term.match_fields.iter().flatten())
        .find(|rule| rule.key == "metadata.name" && rule.operator == "In")
        .and_then(|rule| rule.values.as_ref()?.first().map(String::as_str))
}

/// Decides.
pub(crate) fn plan(input: &Input<'_>, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = &input.set.spec else { return plan };
    let template = pod_for(input.set, "", input.hash);
    let pod_spec = template.spec.clone().unwrap_or_default();
    let mut by_node: BTreeMap<&str, Vec<&Arc<Pod>>> = BTreeMap::new();
    for pod in input.pods {
        by_node.entry(node_of(pod).unwrap_or("")).or_default().push(pod);
    }
    let surge = max_surge(input.set, input.nodes.len());
    let mut wanted_nodes = Vec::new();
    for node in input.nodes {
        let node_name = name(&**node);
        let fits = nodes::is_wanted(&pod_spec, node) && fits_name(&pod_spec, node_name);
        let should_run = fits && nodes::tolerates_all(&pod_spec, node, &["NoSchedule", "NoExecute"]);
        let may_stay = fits && nodes::tolerates_all(&pod_spec, node, &["NoExecute"]);
        let held = by_node.get(node_name).cloned().unwrap_or_default();
        if should_run {
            wanted_nodes.push((node_name, held.clone()));
        }
        if !may_stay {
            plan.delete.extend(held.iter().filter(|pod| !pods::is_deleted(pod)).map(|pod| (*pod).clone()));
            continue;
        }
        keep_one(input, node_name, &held, should_run, surge > 0, &mut plan);
    }
    if input.set.metadata.deletion_timestamp.is_none() {
        let on_delete = spec.update_strategy.as_ref().and_then(|s| s.type_.as_deref()) == Some("OnDelete");
        if !on_delete && plan.create.is_empty() && plan.delete.is_empty() {
            update(input, &wanted_nodes, surge, now, &mut plan);
        }
    } else {
        plan = Plan::default();
    }
    plan.create.truncate(BURST);
    plan.delete.truncate(BURST);
    plan.status = status(input, &wanted_nodes, &by_node, &pod_spec, now);
    plan
}

fn fits_name(spec: &PodSpec, node: &str) -> bool {
    spec.node_name.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == node)
}

/// One pod a node: ended ones are replaced, surplus ones go, the oldest scheduled one stays.
fn keep_one(
    input: &Input<'_>,
    node: &str,
    held: &[&Arc<Pod>],
    should_run: bool,
    surges: bool,
    plan: &mut Plan,
) {
    let mut running = Vec::new();
    let mut ended = false;
    for pod in held.iter().filter(|pod| !pods::is_deleted(pod)) {
        match pods::phase(pod) {
            "Failed" => {
                let message = format!(
                    "Found failed daemon pod {}/{} on node {node}, will try to kill it",
                    namespace(&***pod),
                    name(&***pod)
                );
                plan.events.push((true, "FailedDaemonPod", message));
                plan.delete.push((*pod).clone());
                ended = true;
            }
            "Succeeded" => {
                let message = format!(
                    "Found succeeded daemon pod {}/{} on node {node}, will try to delete it",
                    namespace(&***pod),
                    name(&***pod)
                );
                plan.events.push((false, "SucceededDaemonPod", message));
                plan.delete.push((*pod).clone());
                ended = true;
            }
            _ => running.push((*pod).clone()),
        }
    }
    let going = held.iter().any(|pod| pods::is_terminating(pod));
    if should_run && running.is_empty() && !ended && !going {
        plan.create.push(pod_for(input.set, node, input.hash));
        return;
    }
    if running.len() < 2 {
        return;
    }
    running.sort_by_key(|pod| {
        (pods::node(pod).is_empty(), pod.metadata.creation_timestamp.clone(), pod.metadata.name.clone())
    });
    if surges {
        // While an update surges, an old and a new pod share the node: one of each may stay.
        let (new, old): (Vec<_>, Vec<_>) = running.into_iter().partition(|pod| is_current(pod, input.hash));
        plan.delete.extend(new.into_iter().skip(1));
        plan.delete.extend(old.into_iter().skip(1));
    } else {
        plan.delete.extend(running.into_iter().skip(1));
    }
}

fn is_current(pod: &Pod, hash: &str) -> bool {
    pod.metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(REVISION_LABEL))
        .is_some_and(|held| held == hash)
}

fn max_surge(set: &DaemonSet, nodes: usize) -> i32 {
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let total = i32::try_from(nodes).unwrap_or(i32::MAX);
    rolling.and_then(|rolling| rolling.max_surge.as_ref()).map_or(0, |surge| scaled(surge, total, true))
}

fn max_unavailable(set: &DaemonSet, nodes: usize) -> i32 {
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let total = i32::try_from(nodes).unwrap_or(i32::MAX);
    rolling
        .and_then(|rolling| rolling.max_unavailable.as_ref())
        .map_or(1, |unavailable| scaled(unavailable, total, true))
}

/// Takes an update to more nodes: old pods that are of no use first, others as far as the bounds allow.
fn update(input: &Input<'_>, wanted: &[(&str, Vec<&Arc<Pod>>)], surge: i32, now: Timestamp, plan: &mut Plan) {
    let ready_seconds = input.set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let available = |pod: &Pod| pods::is_available(pod, ready_seconds, now);
    let (mut unavailable, mut surging) = (0, 0);
    let mut candidates = Vec::new();
    let mut starts = Vec::new();
    for (node, held) in wanted {
        let mut living = held.iter().filter(|pod| !pods::is_deleted(pod));
        let new = living.clone().find(|pod| is_current(pod, input.hash)).copied();
        let old = living.find(|pod| !is_current(pod, input.hash)).copied();
        if surge == 0 {
            match (old, new) {
                (Some(old), None) if !available(old) => {
                    // Nobody uses it: it is no loss.
                    plan.delete.push((*old).clone());
                    unavailable += 1;
                }
                (Some(old), None) => candidates.push((*old).clone()),
                (_, Some(new)) => unavailable += i32::from(!available(new)),
                (None, None) => unavailable += 1,
            }
        } else {
            match (old, new) {
                (Some(old), Some(new)) if available(new) => plan.delete.push((*old).clone()),
                (Some(_), Some(_)) => surging += 1,
                (Some(old), None) if !available(old) => starts.insert(0, *node),
                (Some(_), None) => starts.push(*node),
                _ => {}
            }
        }
    }
    if surge == 0 {
        let room = (max_unavailable(input.set, wanted.len()) - unavailable).max(0);
        plan.delete.extend(candidates.into_iter().take(usize::try_from(room).unwrap_or(0)));
    } else {
        let room = usize::try_from((surge - surging).max(0)).unwrap_or(0);
        let fresh = starts.into_iter().take(room).map(|node| pod_for(input.set, node, input.hash));
        plan.create.extend(fresh);
    }
}

fn status(
    input: &Input<'_>,
    wanted: &[(&str, Vec<&Arc<Pod>>)],
    by_node: &BTreeMap<&str, Vec<&Arc<Pod>>>,
    _spec: &PodSpec,
    now: Timestamp,
) -> Option<DaemonSetStatus> {
    let ready_seconds = input.set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let before = input.set.status.clone().unwrap_or_default();
    let mut status = DaemonSetStatus {
        collision_count: before.collision_count,
        conditions: before.conditions.clone(),
        observed_generation: input.set.metadata.generation,
        ..DaemonSetStatus::default()
    };
    let (mut updated, mut available) = (0, 0);
    for (_, held) in wanted {
        status.desired_number_scheduled += 1;
        let Some(first) = oldest_ready(held) else { continue };
        status.current_number_scheduled += 1;
        status.number_ready += i32::from(pods::is_ready(first));
        available += i32::from(pods::is_available(first, ready_seconds, now));
        updated += i32::from(held.iter().any(|pod| is_current(pod, input.hash)));
    }
    let wanted_names: std::collections::BTreeSet<&str> = wanted.iter().map(|(node, _)| *node).collect();
    let known = input.nodes.iter().map(|node| name(&**node));
    status.number_misscheduled = i32::try_from(
        known
            .filter(|node| !wanted_names.contains(node))
            .filter(|node| by_node.get(node).is_some_and(|held| !held.is_empty()))
            .count(),
    )
    .unwrap_or(0);
    let some = |number: i32| (number != 0).then_some(number);
    status.updated_number_scheduled = some(updated);
    status.number_available = some(available);
    status.number_unavailable = some(status.desired_number_scheduled - available);
    (input.set.status.as_ref() != Some(&status)).then_some(status)
}

fn oldest_ready<'a>(held: &[&'a Arc<Pod>]) -> Option<&'a Pod> {
    let mut sorted: Vec<&'a Arc<Pod>> = held.to_vec();
    sorted.sort_by_key(|pod| (!pods::is_ready(pod), pod.metadata.creation_timestamp.clone()));
    sorted.first().map(|pod| &***pod)
}

/// The pod for a node.
pub(super) fn pod_for(set: &DaemonSet, node: &str, hash: &str) -> Pod {
    let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = pods::from_template(&template, namespace(set), controller_reference(set));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_LABEL.to_owned(), hash.to_owned());
    let generation =
        crate::common::owner::annotation(&set.metadata, "deprecated.daemonset.template.generation");
    if let Some(generation) = generation {
        labels.insert("pod-template-generation".to_owned(), generation.to_owned());
    }
    debug_assert!(!uid(set).is_empty() || cfg!(test));
    let spec = pod.spec.get_or_insert_default();
    let tolerations = spec.tolerations.get_or_insert_default();
    let on_host = spec.host_network == Some(true);
    let more = on_host.then_some((NETWORK_UNAVAILABLE, "NoSchedule"));
    for (key, effect) in TOLERATED.iter().copied().chain(more) {
        let wanted = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        let same = |known: &Toleration| known.key == wanted.key && known.effect == wanted.effect;
        tolerations.retain(|known| !same(known) || *known == wanted);
        if !tolerations.contains(&wanted) {
            tolerations.push(wanted);
        }
    }
    if !node.is_empty() {
        pin(spec, node);
    }
    pod
}

/// Ties a pod to a node: whatever its required terms ask for has been checked already.
fn pin(spec: &mut PodSpec, node: &str) {
    let term = NodeSelectorTerm {
        match_fields: Some(vec![NodeSelectorRequirement {
            key: "metadata.name".to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![node.to_owned()]),
        }]),
        match_expressions: None,
    };
    let affinity: &mut Affinity = spec.affinity.get_or_insert_default();
    let affinity: &mut NodeAffinity = affinity.node_affinity.get_or_insert_default();
    affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: vec![term] });
}
