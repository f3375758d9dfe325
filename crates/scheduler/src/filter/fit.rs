//! Whether what is free on a node is enough.

use crate::node::NodeInfo;
use crate::pod::PodInfo;

/// Refuses with each resource that is short.
pub(crate) fn check(pod: &PodInfo, node: &NodeInfo) -> Result<(), Vec<String>> {
    let mut short = Vec::new();
    if i64::try_from(node.pods.len()).unwrap_or(i64::MAX) + 1 > node.pods_max {
        short.push("Too many pods".to_owned());
    }
    let (asks, used, has) = (&pod.requests, &node.used, &node.allocatable);
    let mut look = |name: &str, asks: i64, used: i64, has: i64| {
        if asks > 0 && asks > has - used {
            short.push(format!("Insufficient {name}"));
        }
    };
    look("cpu", asks.cpu_milli, used.cpu_milli, has.cpu_milli);
    look("memory", asks.memory, used.memory, has.memory);
    look("ephemeral-storage", asks.ephemeral_storage, used.ephemeral_storage, has.ephemeral_storage);
    for (name, amount) in &asks.others {
        look(
            name,
            *amount,
            used.others.get(name).copied().unwrap_or(0),
            has.others.get(name).copied().unwrap_or(0),
        );
    }
    if short.is_empty() { Ok(()) } else { Err(short) }
}
