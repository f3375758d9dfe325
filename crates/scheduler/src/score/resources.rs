//! Scores by resources: much left, and evenly used.

use super::SCORE_MAX;
use crate::node::NodeInfo;
use crate::pod::PodInfo;

/// The share of CPU and memory that stays free.
pub(super) fn least_allocated(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let free = |used: i64, has: i64| if has == 0 || used > has { 0 } else { (has - used) * SCORE_MAX / has };
    let cpu = free(node.used_score.cpu_milli + pod.score_requests.cpu_milli, node.allocatable.cpu_milli);
    let memory = free(node.used_score.memory + pod.score_requests.memory, node.allocatable.memory);
    (cpu + memory) / 2
}

/// How close the shares of CPU and memory are.
pub(super) fn balanced(pod: &PodInfo, node: &NodeInfo) -> i64 {
    let share = |used: i64, has: i64| if has == 0 { 1.0 } else { (used as f64 / has as f64).min(1.0) };
    let cpu = share(node.used.cpu_milli + pod.requests.cpu_milli, node.allocatable.cpu_milli);
    let memory = share(node.used.memory + pod.requests.memory, node.allocatable.memory);
    ((1.0 - (cpu - memory).abs() / 2.0) * SCORE_MAX as f64) as i64
}
