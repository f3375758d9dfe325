//! Addresses of load balancers.

use serde_json::Value;

use super::walk::{list, text};

/// Addresses, or else host names, each once and sorted, joined by commas.
pub fn addresses(status: &Value) -> String {
    let mut all: Vec<&str> = list(status, "ingress")
        .iter()
        .map(|each| match text(each, "ip") {
            "" => text(each, "hostname"),
            ip => ip,
        })
        .filter(|each| !each.is_empty())
        .collect();
    all.sort_unstable();
    all.dedup();
    all.join(",")
}
