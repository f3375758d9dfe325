//! Limits of containers, pods and claims of a namespace: defaults, and what is refused.
//! Source: <https://kubernetes.io/docs/concepts/policy/limit-range/>

use std::collections::{BTreeMap, HashSet};

use cox_api::Status;
use cox_api::quantity::Quantity;
use serde_json::{Map, Value};

use super::{Attempt, Operation, Plugin, each, each_mut, text};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

pub(super) struct LimitRanger;

pub(super) type Amounts = BTreeMap<String, Quantity>;

fn ranges(attempt: &Attempt<'_>) -> Vec<Value> {
    attempt
        .server
        .db()
        .list("limitranges", Some(attempt.namespace))
        .iter()
        .map(cox_api::Object::value)
        .collect()
}

impl Plugin for LimitRanger {
    fn admit(&self, attempt: &Attempt<'_>, pod: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        if attempt.creates("", "pods") {
            for range in ranges(attempt) {
                set_defaults(&range, pod);
            }
        }
        Ok(())
    }

    fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        _: &mut Vec<String>,
    ) -> Result<(), Status> {
        let Some(object) = object else { return Ok(()) };
        let is_pod = attempt.creates("", "pods")
            || attempt.is("", "pods", "resize") && attempt.operation == Operation::Update;
        let is_claim = attempt.is("", "persistentvolumeclaims", "") && attempt.operation != Operation::Delete;
        if !is_pod && !is_claim {
            return Ok(());
        }
        for range in ranges(attempt) {
            let mut faults = Vec::new();
            for limit in each(&range["spec"]["limits"]) {
                match text(&limit["type"]) {
                    "Container" if is_pod => {
                        for part in ["containers", "initContainers"] {
                            for container in each(&object["spec"][part]) {
                                check(limit, &requests(container), &limits(container), &mut faults);
                            }
                        }
                    }
                    "Pod" if is_pod => {
                        check(limit, &sum(object, requests), &sum(object, limits), &mut faults);
                    }
                    "PersistentVolumeClaim" if is_claim => {
                        check_claim(limit, &requests(&object["spec"]), &mut faults);
                    }
                    _ => {}
                }
            }
            // Each is said once, also of several containers.
            let mut said = HashSet::new();
            faults.retain(|fault: &String| said.insert(fault.clone()));
            match faults.as_slice() {
                [] => {}
                [one] => return Err(attempt.forbidden(one)),
                many => return Err(attempt.forbidden(&format!("[{}]", many.join(", ")))),
            }
        }
        Ok(())
    }
}

fn amounts(value: &Value) -> Amounts {
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), text(value).parse().ok()?)))
        .collect()
}

pub(super) fn requests(container: &Value) -> Amounts {
    amounts(&container["resources"]["requests"])
}

pub(super) fn limits(container: &Value) -> Amounts {
    amounts(&container["resources"]["limits"])
}

/// What a pod takes: containers together, and no less than an init container with the sidecars before it; what the
/// pod says for itself as a whole comes before all that.
pub(super) fn sum(pod: &Value, of: impl Fn(&Value) -> Amounts) -> Amounts {
    let add = |total: &mut Amounts, more: &Amounts| {
        for (key, amount) in more {
            let entry = total.entry(key.clone()).or_insert(Quantity::ZERO);
            *entry = if entry.is_zero() { *amount } else { entry.plus(*amount) };
        }
    };
    let mut total = Amounts::new();
    for container in each(&pod["spec"]["containers"]) {
        add(&mut total, &of(container));
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in each(&pod["spec"]["initContainers"]) {
        let own = of(container);
        let mut now = sidecars.clone();
        add(&mut now, &own);
        if container["restartPolicy"] == "Always" {
            add(&mut sidecars, &own);
            add(&mut total, &own);
        }
        for (key, amount) in now {
            let entry = peak.entry(key).or_insert(amount);
            if *entry < amount {
                *entry = amount;
            }
        }
    }
    for (key, amount) in peak {
        let entry = total.entry(key).or_insert(amount);
        if *entry < amount {
            *entry = amount;
        }
    }
    // The fields of the whole are those of a container.
    let of_the_whole =
        |key: &String| matches!(key.as_str(), "cpu" | "memory") || key.starts_with("hugepages-");
    total.extend(of(&pod["spec"]).into_iter().filter(|(key, _)| of_the_whole(key)));
    total
}

fn set_defaults(range: &Value, pod: &mut Value) {
    let (mut default_requests, mut default_limits) = (Map::new(), Map::new());
    for limit in each(&range["spec"]["limits"]).filter(|limit| limit["type"] == "Container") {
        let merge = |into: &mut Map<String, Value>, from: &Value| {
            for (key, value) in from.as_object().into_iter().flatten() {
                into.insert(key.clone(), value.clone());
            }
        };
        merge(&mut default_requests, &limit["defaultRequest"]);
        merge(&mut default_limits, &limit["default"]);
    }
    let mut notes = Vec::new();
    for (part, word) in [("containers", "container"), ("initContainers", "init container")] {
        for container in each_mut(pod["spec"].get_mut(part)) {
            let name = text(&container["name"]).to_owned();
            for (key, defaults) in [("requests", &default_requests), ("limits", &default_limits)] {
                let mut set = Vec::new();
                for (resource, amount) in defaults {
                    if container["resources"][key].get(resource).is_some() {
                        continue;
                    }
                    if !container["resources"].is_object() {
                        container["resources"] = Value::Object(Map::new());
                    }
                    if !container["resources"][key].is_object() {
                        container["resources"][key] = Value::Object(Map::new());
                    }
                    container["resources"][key][resource] = amount.clone();
                    set.push(resource.as_str());
                }
                if !set.is_empty() {
                    let what = if key == "requests" { "request" } else { "limit" };
                    notes.push(format!("{} {what} for {word} {name}", set.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        if !pod["metadata"]["annotations"].is_object() {
            pod["metadata"]["annotations"] = Value::Object(Map::new());
        }
        pod["metadata"]["annotations"][ANNOTATION] =
            format!("LimitRanger plugin set: {}", notes.join("; ")).into();
    }
}

fn check(limit: &Value, requests: &Amounts, limits: &Amounts, faults: &mut Vec<String>) {
    let kind = text(&limit["type"]);
    for (resource, least) in amounts(&limit["min"]) {
        let start = format!("minimum {resource} usage per {kind} is {least}");
        match (requests.get(&resource), limits.get(&resource)) {
            (None, _) => faults.push(format!("{start}.  No request is specified")),
            (Some(request), _) if *request < least => {
                faults.push(format!("{start}, but request is {request}"))
            }
            (_, Some(limit)) if *limit < least => faults.push(format!("{start}, but limit is {limit}")),
            _ => {}
        }
    }
    for (resource, most) in amounts(&limit["max"]) {
        let start = format!("maximum {resource} usage per {kind} is {most}");
        match (requests.get(&resource), limits.get(&resource)) {
            (_, None) => faults.push(format!("{start}.  No limit is specified")),
            (_, Some(limit)) if *limit > most => faults.push(format!("{start}, but limit is {limit}")),
            (Some(request), _) if *request > most => {
                faults.push(format!("{start}, but request is {request}"));
            }
            _ => {}
        }
    }
    for (resource, most) in amounts(&limit["maxLimitRequestRatio"]) {
        let start = format!("{resource} max limit to request ratio per {kind} is {most}");
        let some = |amounts: &Amounts| amounts.get(&resource).copied().filter(|amount| !amount.is_zero());
        match (some(requests), some(limits)) {
            (None, _) => faults.push(format!("{start}, but no request is specified or request is 0")),
            (_, None) => faults.push(format!("{start}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let ratio = limit.as_f64() / request.as_f64();
                if ratio > most.as_f64() {
                    faults.push(format!("{start}, but provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}

fn check_claim(limit: &Value, requests: &Amounts, faults: &mut Vec<String>) {
    for (key, word) in [("min", "minimum"), ("max", "maximum")] {
        for (resource, bound) in amounts(&limit[key]) {
            let Some(request) = requests.get(&resource) else { continue };
            let bad = if key == "min" { *request < bound } else { *request > bound };
            if bad {
                faults.push(format!(
                    "{word} {resource} usage per PersistentVolumeClaim is {bound}, but request is {request}"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_are_noted_in_order() {
        let range = json!({"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"},
            "defaultRequest": {"cpu": "1", "memory": "1Mi"}}]}});
        let mut pod = json!({"metadata": {}, "spec": {"containers": [{"name": "c",
            "resources": {"requests": {"cpu": "2"}}}], "initContainers": [{"name": "i"}]}});
        set_defaults(&range, &mut pod);
        assert_eq!(
            pod["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: memory request for container c; cpu limit for container c; cpu, memory request for init container i; cpu limit for init container i"
        );
        assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"], "2");
    }

    #[test]
    fn what_the_pod_says_as_a_whole_counts() {
        let pod = json!({"spec": {"resources": {"requests": {"cpu": "2", "ephemeral-storage": "1"}},
            "containers": [{"resources": {"requests": {"cpu": "1", "memory": "1Mi"}}}]}});
        let sums = sum(&pod, requests);
        let shown: Vec<String> = sums.iter().map(|(key, amount)| format!("{key}={amount}")).collect();
        assert_eq!(shown, ["cpu=2", "memory=1Mi"]);
    }

    #[test]
    fn ratios_are_told_with_six_digits() {
        let limit = json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "10"}});
        let of = |text: &str| Amounts::from([("cpu".to_owned(), text.parse().unwrap())]);
        let mut faults = Vec::new();
        check(&limit, &of("50m"), &of("900m"), &mut faults);
        assert_eq!(
            faults,
            ["cpu max limit to request ratio per Container is 10, but provided ratio is 18.000000"]
        );
    }
}
