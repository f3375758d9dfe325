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

/// What came of looking for claims whose devices can be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claims {
    /// The pod has no claims, or not all of them.
    None,
    /// It didn't help.
    Helpless,
    /// The devices of one are given back.
    Returned,
}

/// As upstream words it: `0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. ...`.
pub(crate) fn unschedulable(failed: &Unschedulable, preemption: Preemption, claims: Claims) -> String {
    if failed.nodes == 0 {
        return "no nodes available to schedule pods".into();
    }
    let mut reasons: Vec<String> =
        failed.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    reasons.sort();
    let all = failed.nodes;
    let text =
        format!("0/{all} nodes are available: {}.", failed.whole.clone().unwrap_or(reasons.join(", ")));
    let claims = match claims {
        Claims::None => "no new claims to deallocate",
        Claims::Helpless => "still not schedulable",
        Claims::Returned => "deallocation of ResourceClaim completed",
    };
    match preemption {
        Preemption::Made => text,
        Preemption::NotEligible(why) => format!("{text} {claims}, preemption: {why}"),
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
            format!("{text} {claims}, preemption: 0/{all} nodes are available: {}.", parts.join(", "))
        }
    }
}
