//! Taints and tolerations.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>

use k8s_openapi::api::core::v1::{Taint, Toleration};

use crate::node::NodeInfo;
use crate::pod::PodInfo;

/// Whether a toleration is for a taint.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    let key = toleration.key.as_deref().unwrap_or_default();
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "Equal" | "" => {
            toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
        }
        _ => false,
    }
}

fn tolerated(pod: &PodInfo, taint: &Taint) -> bool {
    pod.spec().tolerations.iter().flatten().any(|toleration| tolerates(toleration, taint))
}

/// Whether a taint keeps the pod away.
pub(crate) fn untolerated(pod: &PodInfo, node: &NodeInfo) -> bool {
    let mut hard =
        node.taints.iter().filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
    hard.any(|taint| !tolerated(pod, taint))
}

/// Whether a pod may be on a node that is cordoned.
pub(crate) fn tolerates_unschedulable(pod: &PodInfo) -> bool {
    let taint = Taint {
        key: "node.kubernetes.io/unschedulable".into(),
        effect: "NoSchedule".into(),
        ..Taint::default()
    };
    tolerated(pod, &taint)
}

/// How many taints the pod would rather not meet.
pub(crate) fn unwelcome(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let soft =
        node.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule" && !tolerated(pod, taint));
    i64::try_from(soft.count()).unwrap_or(i64::MAX)
}
