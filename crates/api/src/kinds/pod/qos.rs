//! The class of service of a pod, from what it asks for.
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>

use serde_json::Value;

use super::quantities::nanos;
use crate::kinds::common::walk::{get, list, map};

const COUNTED: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn class(spec: &Value) -> &'static str {
    let mut tally = Tally::default();
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

#[derive(Default)]
struct Tally {
    requests: [i128; 2],
    limits: [i128; 2],
    /// Something has no limit for the one or the other.
    open: bool,
}

impl Tally {
    fn add(&mut self, resources: Option<&Value>) {
        for (at, name) in COUNTED.iter().enumerate() {
            let amount = |key: &str| {
                resources.and_then(|resources| map(resources, key).get(*name)).map_or(0, nanos).max(0)
            };
            let limit = amount("limits");
            self.requests[at] = self.requests[at].saturating_add(amount("requests"));
            self.limits[at] = self.limits[at].saturating_add(limit);
            self.open |= limit == 0;
        }
    }

    fn class(&self) -> &'static str {
        if self.requests == [0, 0] && self.limits == [0, 0] {
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
            (json!({"containers": [{"resources": full}], "initContainers": [{"resources": full}]}), "Guaranteed"),
            (json!({"containers": [{}], "initContainers": [{"resources": {"requests": {"cpu": "1"}}}]}), "Burstable"),
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
