//! What a pod uses of a quota, and which scopes it is in.

use std::collections::BTreeSet;

use cox_api::quantity::{Format, Quantity};
use serde_json::Value;

use super::super::limit_ranger::{Amounts as Sums, limits, requests, sum};
use super::super::{each, text};
use super::Amounts;

/// Resources whose plain name stands for the request.
const PLAIN: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Adds what a pod uses; one that has ended uses nothing but its own object.
pub(super) fn usage(pod: &Value, used: &mut Amounts) {
    if matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed") {
        return;
    }
    used.insert("pods".into(), Quantity::new(1, Format::DecimalSi));
    let mut add = |prefix: &str, sums: Sums| {
        for (name, amount) in sums {
            if prefix == "requests." && (PLAIN.contains(&name.as_str()) || name.starts_with("hugepages-")) {
                used.insert(name.clone(), amount);
            }
            used.insert(format!("{prefix}{name}"), amount);
        }
    };
    let overhead = super::usage::amounts(&pod["spec"]["overhead"]);
    let with_overhead = |mut sums: Sums, all: bool| {
        for (name, amount) in &overhead {
            match sums.get_mut(name) {
                Some(known) => *known = known.plus(*amount),
                None if all => {
                    sums.insert(name.clone(), *amount);
                }
                None => {}
            }
        }
        sums
    };
    add("requests.", with_overhead(sum(pod, requests), true));
    add("limits.", with_overhead(sum(pod, limits), false));
}

/// What a quota counts and a container of the pod doesn't say.
pub(super) fn unspecified<'k>(pod: &Value, hard: impl Iterator<Item = &'k String>) -> Vec<String> {
    let mut missing: Vec<(String, Vec<String>)> = Vec::new();
    let wanted: Vec<&String> = hard.collect();
    for key in wanted {
        let (part, resource) = match key.as_str() {
            "cpu" | "memory" => ("requests", key.as_str()),
            "requests.cpu" | "requests.memory" => ("requests", &key["requests.".len()..]),
            "limits.cpu" | "limits.memory" => ("limits", &key["limits.".len()..]),
            _ => continue,
        };
        if pod["spec"]["resources"][part].get(resource).is_some() {
            continue;
        }
        let names: BTreeSet<&str> = ["containers", "initContainers"]
            .iter()
            .flat_map(|list| each(&pod["spec"][*list]))
            .filter(|container| container["resources"][part].get(resource).is_none())
            .map(|container| text(&container["name"]))
            .collect();
        if !names.is_empty() {
            missing.push((key.clone(), names.into_iter().map(str::to_owned).collect()));
        }
    }
    missing.into_iter().map(|(key, names)| format!("{key} for: {}", names.join(","))).collect()
}

/// Whether a pod is in a scope.
pub(super) fn in_scope(pod: &Value, scope: &str, operator: &str, values: &Value) -> bool {
    let spec = &pod["spec"];
    match scope {
        "Terminating" => spec["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0),
        "NotTerminating" => spec["activeDeadlineSeconds"].is_null(),
        "BestEffort" => is_best_effort(pod),
        "NotBestEffort" => !is_best_effort(pod),
        "PriorityClass" => {
            let class = text(&spec["priorityClassName"]);
            let named = each(values).any(|value| value == class);
            match operator {
                "In" => named,
                "NotIn" => !named,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(&spec["affinity"]),
        _ => false,
    }
}

fn is_best_effort(pod: &Value) -> bool {
    if let Some(class) = pod["status"]["qosClass"].as_str().filter(|class| !class.is_empty()) {
        return class == "BestEffort";
    }
    ["containers", "initContainers"].iter().flat_map(|list| each(&pod["spec"][*list])).all(|container| {
        ["requests", "limits"].iter().all(|part| {
            ["cpu", "memory"].iter().all(|resource| {
                container["resources"][*part]
                    .get(*resource)
                    .and_then(Value::as_str)
                    .and_then(|amount| amount.parse::<Quantity>().ok())
                    .is_none_or(Quantity::is_zero)
            })
        })
    })
}

fn crosses_namespaces(affinity: &Value) -> bool {
    let crosses =
        |term: &Value| each(&term["namespaces"]).next().is_some() || !term["namespaceSelector"].is_null();
    ["podAffinity", "podAntiAffinity"].iter().any(|side| {
        let side = &affinity[*side];
        each(&side["requiredDuringSchedulingIgnoredDuringExecution"]).any(crosses)
            || each(&side["preferredDuringSchedulingIgnoredDuringExecution"])
                .any(|weighted| crosses(&weighted["podAffinityTerm"]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_uses_its_sums_and_its_overhead() {
        let pod = json!({"spec": {"overhead": {"cpu": "10m"}, "containers": [
            {"name": "a", "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}},
            {"name": "b", "resources": {"requests": {"cpu": "200m"}}}]}});
        let mut used = Amounts::new();
        usage(&pod, &mut used);
        assert_eq!(used["cpu"].to_string(), "310m");
        assert_eq!(used["requests.cpu"].to_string(), "310m");
        assert_eq!(used["limits.cpu"].to_string(), "1010m");
        let hard = ["limits.cpu".to_owned(), "memory".to_owned()];
        assert_eq!(unspecified(&pod, hard.iter()), ["limits.cpu for: b", "memory for: a,b"]);
        assert!(in_scope(&pod, "NotBestEffort", "Exists", &Value::Null));
    }
}
