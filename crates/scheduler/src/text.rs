//! The text of a `FailedScheduling` event.

use crate::cycle::Unschedulable;

/// As upstream words it: `0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. ...`.
pub(crate) fn unschedulable(failed: &Unschedulable) -> String {
    if failed.nodes == 0 {
        return "no nodes available to schedule pods".into();
    }
    let mut reasons: Vec<String> = failed.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    reasons.sort();
    let all = failed.nodes;
    let mut preemption = Vec::new();
    if all > failed.refuse_finally {
        preemption.push(format!("{} No preemption victims found for incoming pod", all - failed.refuse_finally));
    }
    if failed.refuse_finally > 0 {
        preemption.push(format!("{} Preemption is not helpful for scheduling", failed.refuse_finally));
    }
    preemption.sort();
    format!(
        "0/{all} nodes are available: {}. no new claims to deallocate, preemption: 0/{all} nodes are available: {}.",
        reasons.join(", "),
        preemption.join(", ")
    )
}
