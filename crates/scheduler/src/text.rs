//! The text of a `FailedScheduling` event.

use crate::cycle::Unschedulable;

/// What came of preemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preemption {
    /// Pods are leaving a node.
    Made,
    /// It wouldn't help anywhere.
    Helpless,
    /// The pod may not preempt, for this reason.
    NotEligible(&'static str),
}

/// As upstream words it: `0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. ...`.
pub(crate) fn unschedulable(failed: &Unschedulable, preemption: Preemption) -> String {
    if failed.nodes == 0 {
        return "no nodes available to schedule pods".into();
    }
    let mut reasons: Vec<String> =
        failed.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    reasons.sort();
    let all = failed.nodes;
    let text = format!("0/{all} nodes are available: {}.", reasons.join(", "));
    match preemption {
        Preemption::Made => text,
        Preemption::NotEligible(why) => format!("{text} no new claims to deallocate, preemption: {why}"),
        Preemption::Helpless => {
            let mut parts = Vec::new();
            if all > failed.refuse_finally {
                parts.push(format!(
                    "{} No preemption victims found for incoming pod",
                    all - failed.refuse_finally
                ));
            }
            if failed.refuse_finally > 0 {
                parts.push(format!("{} Preemption is not helpful for scheduling", failed.refuse_finally));
            }
            parts.sort();
            format!(
                "{text} no new claims to deallocate, preemption: 0/{all} nodes are available: {}.",
                parts.join(", ")
            )
        }
    }
}
