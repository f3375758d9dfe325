//! What a ReplicaSet does next, out of its pods and the time.

use std::sync::Arc;
use std::time::Duration;

use cox_client::{Next, Selector};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::Replicated;
use crate::common::{pods, rank};

/// Pods made or deleted in one go (upstream's `BurstReplicas`).
const BURST_REPLICAS: usize = 500;

/// What to do about the number of pods.
#[derive(Debug, PartialEq)]
pub(crate) enum Scale {
    /// It is right.
    Nothing,
    /// So many are missing.
    Create(usize),
    /// These are too many.
    Delete(Vec<Arc<Pod>>),
}

/// Compares the wanted number with the active pods. `related` is asked for only if pods have to go.
pub(crate) fn scale(
    replicas: i32,
    active: &[Arc<Pod>],
    related: impl FnOnce() -> Vec<Arc<Pod>>,
    now: Timestamp,
) -> Scale {
    let wanted = usize::try_from(replicas).unwrap_or(0);
    if active.len() < wanted {
        return Scale::Create((wanted - active.len()).min(BURST_REPLICAS));
    }
    let surplus = (active.len() - wanted).min(BURST_REPLICAS);
    if surplus == 0 {
        return Scale::Nothing;
    }
    if surplus == active.len() {
        return Scale::Delete(active.to_vec());
    }
    let mut ordered = rank::for_deletion(active, &related(), now);
    ordered.truncate(surplus);
    Scale::Delete(ordered)
}

/// The numbers of a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) replicas: i32,
    pub(crate) fully_labeled: i32,
    pub(crate) ready: i32,
    pub(crate) available: i32,
    pub(crate) terminating: i32,
}

/// Counts the pods that are held.
pub(crate) fn count<O: Replicated>(owner: &O, held: &[Arc<Pod>], now: Timestamp) -> Counts {
    let template = owner.template();
    let labels = template.metadata.and_then(|metadata| metadata.labels);
    let template_labels = Selector::of_map(labels.as_ref());
    let mut counts = Counts::default();
    for pod in held {
        if pods::is_terminating(pod) {
            counts.terminating += 1;
        }
        if !pods::is_active(pod) {
            continue;
        }
        counts.replicas += 1;
        counts.fully_labeled += i32::from(template_labels.matches(&pod.metadata.labels));
        counts.ready += i32::from(pods::is_ready(pod));
        counts.available += i32::from(pods::is_available(pod, owner.min_ready_seconds(), now));
    }
    counts
}

/// When the next pod becomes available without anything else happening.
pub(crate) fn next_look(active: &[Arc<Pod>], min_ready_seconds: i32, now: Timestamp) -> Next {
    active
        .iter()
        .filter_map(|pod| pods::until_available(pod, min_ready_seconds, now))
        .filter(|left| *left > Duration::ZERO)
        .min()
        .map_or(Next::Done, Next::After)
}
