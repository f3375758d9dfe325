//! Devices that claims ask for, by class, in the worst case.
//! Source: KEP-4381, "ResourceQuota".

use std::collections::BTreeMap;

use serde_json::Value;

/// Follows the name of a class in the name of a quota's resource.
pub const QUOTA_SUFFIX: &str = ".deviceclass.resource.k8s.io/devices";
/// Most devices that a claim is given.
const DEVICES_MAX: i64 = 32;

/// The most devices of each class that a ResourceClaim may be given.
pub fn most_by_class(claim: &Value) -> BTreeMap<String, i64> {
    let mut total = BTreeMap::new();
    for request in list(&claim["spec"]["devices"]["requests"]) {
        let mut most: BTreeMap<&str, i64> = BTreeMap::new();
        for asked in request.get("exactly").into_iter().chain(list(&request["firstAvailable"])) {
            let class = asked["deviceClassName"].as_str().unwrap_or_default();
            let count = match asked["allocationMode"].as_str() {
                Some("All") => DEVICES_MAX,
                _ => asked["count"].as_i64().unwrap_or_default(),
            };
            let known = most.entry(class).or_default();
            *known = count.max(*known);
        }
        for (class, count) in most {
            *total.entry(class.to_owned()).or_default() += count;
        }
    }
    total
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn choices_count_by_the_largest_and_all_by_the_limit() {
        let claim = json!({"spec": {"devices": {"requests": [
            {"exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}},
            {"exactly": {"deviceClassName": "nic", "allocationMode": "All"}},
            {"firstAvailable": [{"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1},
                {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 4},
                {"deviceClassName": "cpu", "allocationMode": "ExactCount", "count": 8}]}]}}});
        let found = most_by_class(&claim);
        let found: Vec<(&str, i64)> = found.iter().map(|(class, count)| (class.as_str(), *count)).collect();
        assert_eq!(found, [("cpu", 8), ("gpu", 6), ("nic", 32)]);
        assert!(most_by_class(&json!({})).is_empty());
    }
}
