//! The class of service of a pod, from what it asks for.
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>

use serde_json::Value;

use super::quantities::quantity;
use crate::kinds::common::walk::{get, list, map};
use crate::quantity::Quantity;

const COUNTED: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn class(spec: &Value) -> &'static str {
    let mut tally = Tally { requests: [Quantity::ZERO; 2], limits: [Quantity::ZERO; 2], open: false };
    match get(spec, "resources") {
        Some(resources)
            if !(map(resources, "requests").is_empty() && map(resources, "limits").is_empty()) =>
        {
            tally.add(Some(resources));
        }
        _ => {
            for key in ["containers", "initContainers"] {
                for container in list(spec, key) {
                    tally.add(get(container, "resources"));
                }
            }
        }
    }
    tally.class()
}

struct Tally {
    requests: [Quantity; 2],
    limits: [Quantity; 2],
    /// Something has no limit for the one or the other.
    open: bool,
}

impl Tally {
    fn add(&mut self, resources: Option<&Value>) {
        for (at, name) in COUNTED.iter().enumerate() {
            let amount = |key: &str| {
                let amount = resources.and_then(|resources| map(resources, key).get(*name)).map(quantity);
                amount.filter(|amount| amount.sign() > 0).unwrap_or(Quantity::ZERO)
            };
            let limit = amount("limits");
            self.requests[at] = self.requests[at].plus(amount("requests"));
            self.limits[at] = self.limits[at].plus(limit);
            self.open |= limit.is_zero();
        }
    }

    fn class(&self) -> &'static str {
        if self.requests.iter().chain(&self.limits).all(|amount| amount.is_zero()) {
            "BestEffort"
        } else if !self.open && self.requests == self.limits {
            "Guaranteed"
        } else {
            "Burstable"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classes_are_upstreams() {
        let full = json!({"limits": {"cpu": "1", "memory": "1"}, "requests": {"cpu": "1", "memory": "1"}});
        for (spec, expected) in [
            (json!({"containers": [{"name": "c"}]}), "BestEffort"),
            (json!({"containers": [{"resources": full}]}), "Guaranteed"),
            (json!({"containers": [{"resources": full}, {}]}), "Burstable"),
            (
                json!({"containers": [{"resources": full}], "initContainers": [{"resources": full}]}),
                "Guaranteed",
            ),
            (
                json!({"containers": [{}], "initContainers": [{"resources": {"requests": {"cpu": "1"}}}]}),
                "Burstable",
            ),
            (json!({"containers": [{"resources": {"requests": {"cpu": "0", "memory": "0"}}}]}), "BestEffort"),
            (json!({"containers": [{"resources": {"limits": {"example.com/gpu": "2"}}}]}), "BestEffort"),
            (
                json!({"containers": [{"resources": {"requests": {"cpu": "500m", "memory": "1073741824"},
                    "limits": {"cpu": "500m", "memory": "1Gi"}}}]}),
                "Guaranteed",
            ),
            (json!({"containers": [{}], "resources": full}), "Guaranteed"),
            (json!({"containers": [{}], "resources": {"requests": {"cpu": "1"}}}), "Burstable"),
        ] {
            assert_eq!(class(&spec), expected, "{spec}");
        }
    }
}
