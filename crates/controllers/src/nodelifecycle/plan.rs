//! Decides what the silence of a node means. Pure.
//! Source: <https://kubernetes.io/docs/concepts/architecture/nodes/#condition>

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Taints by conditions of a node (`TaintNodesByCondition`): condition, status, taint.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", "node.kubernetes.io/not-ready"),
    ("Ready", "Unknown", "node.kubernetes.io/unreachable"),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Taints that also evict.
const EVICTING: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// When a node was last heard of, by this controller's own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// What was seen: the lease's renew time and the Ready condition's heartbeat.
    pub(crate) what: (Option<Timestamp>, Option<Timestamp>),
    /// When it was first seen.
    pub(crate) at: Duration,
}

/// What to write about a node, and when to look again.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// All conditions, where they change.
    pub(crate) conditions: Option<Vec<NodeCondition>>,
    /// All taints, where they change.
    pub(crate) taints: Option<Vec<Taint>>,
    /// Until silence would mean something.
    pub(crate) again: Option<Duration>,
    /// Ready has just become Unknown: pods of the node are no longer ready.
    pub(crate) lost: bool,
}

/// The status of a condition.
pub(crate) fn condition<'a>(conditions: &'a [NodeCondition], name: &str) -> Option<&'a NodeCondition> {
    conditions.iter().find(|condition| condition.type_ == name)
}

/// Decides; `silent` is how long nothing was heard of the node.
pub(crate) fn plan(node: &Node, silent: Duration, grace: Duration, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let mut conditions =
        node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let ready = condition(&conditions, "Ready").map(|ready| ready.status.clone());
    if silent >= grace {
        if ready.as_deref() != Some("Unknown") {
            plan.lost = true;
            silence(&mut conditions, now);
            plan.conditions = Some(conditions.clone());
        }
    } else {
        plan.again = Some(grace - silent);
    }
    let taints = taints(node, &conditions, now);
    if taints != node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default() {
        plan.taints = Some(taints);
    }
    plan
}

/// Every condition that the kubelet owns becomes Unknown.
fn silence(conditions: &mut Vec<NodeCondition>, now: Timestamp) {
    for name in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        let message = "Kubelet stopped posting node status.";
        match conditions.iter_mut().find(|condition| condition.type_ == name) {
            Some(known) if known.status == "Unknown" => {}
            Some(known) => {
                known.status = "Unknown".into();
                known.reason = Some("NodeStatusUnknown".into());
                known.message = Some(message.into());
                known.last_transition_time = Some(Time(now));
            }
            None => conditions.push(NodeCondition {
                type_: name.into(),
                status: "Unknown".into(),
                reason: Some("NodeStatusNeverUpdated".into()),
                message: Some("Kubelet never posted node status.".into()),
                last_heartbeat_time: node_created(now),
                last_transition_time: Some(Time(now)),
            }),
        }
    }
}

fn node_created(now: Timestamp) -> Option<Time> {
    Some(Time(now))
}

/// The taints that follow from conditions and cordon; those of others stay as they are.
fn taints(node: &Node, conditions: &[NodeCondition], now: Timestamp) -> Vec<Taint> {
    let known = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (name, status, taint) in BY_CONDITION {
        if condition(conditions, name).is_some_and(|condition| condition.status == status) {
            wanted.push((taint, "NoSchedule"));
            if EVICTING.contains(&taint) {
                wanted.push((taint, "NoExecute"));
            }
        }
    }
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let ours = |taint: &Taint| {
        (taint.effect == "NoSchedule"
            && (taint.key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(.., key)| *key == taint.key)))
            || (taint.effect == "NoExecute" && EVICTING.contains(&taint.key.as_str()))
    };
    let mut taints: Vec<Taint> = known
        .into_iter()
        .filter(|taint| !ours(taint) || wanted.contains(&(taint.key.as_str(), taint.effect.as_str())))
        .collect();
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
            taints.push(Taint {
                key: key.into(),
                effect: effect.into(),
                value: None,
                time_added: Some(Time(now)),
            });
        }
    }
    taints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{at, object};
    use serde_json::json;

    fn node(ready: &str) -> Node {
        object(
            json!({"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}),
        )
    }

    #[test]
    fn silence_makes_a_node_unknown_and_taints_it() {
        let grace = Duration::from_secs(40);
        let quiet = plan(&node("True"), Duration::from_secs(10), grace, at(0));
        assert_eq!(quiet, Plan { again: Some(Duration::from_secs(30)), ..Plan::default() });
        let lost = plan(&node("True"), grace, grace, at(50));
        assert!(lost.lost);
        let conditions = lost.conditions.unwrap();
        assert_eq!(condition(&conditions, "Ready").unwrap().status, "Unknown");
        let effects: Vec<_> =
            lost.taints.unwrap().into_iter().map(|taint| (taint.key, taint.effect)).collect();
        let key = "node.kubernetes.io/unreachable".to_owned();
        assert_eq!(effects, [(key.clone(), "NoSchedule".to_owned()), (key, "NoExecute".to_owned())]);
    }

    #[test]
    fn a_node_that_returns_loses_its_taints_but_keeps_those_of_others() {
        let mut back = node("True");
        back.spec = Some(object::<Node>(json!({"spec": {"unschedulable": true, "taints": [
            {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}, {"key": "mine", "effect": "NoSchedule"}]}})).spec.unwrap());
        let plan = plan(&back, Duration::ZERO, Duration::from_secs(40), at(0));
        let keys: Vec<_> = plan.taints.unwrap().into_iter().map(|taint| taint.key).collect();
        assert_eq!(keys, ["mine", "node.kubernetes.io/unschedulable"]);
    }
}
