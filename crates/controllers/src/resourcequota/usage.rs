//! What an object uses, by the resource names of quotas.
//! Source: <https://kubernetes.io/docs/concepts/policy/resource-quotas/>

use std::collections::BTreeMap;

use cox_api::quantity::{Format, Quantity};
use cox_api::{KindInfo, devices};
use serde_json::Value;

/// Amounts by resource name.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// Kinds of the core group that can be counted by their bare name.
const COUNTED: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];
const ONE: Quantity = Quantity::new(1, Format::DecimalSi);
/// Resources whose plain name stands for the request.
const PLAIN: &[&str] = &["cpu", "memory", "ephemeral-storage"];

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn put(amounts: &mut Amounts, key: &str, amount: Quantity) {
    match amounts.get_mut(key) {
        Some(known) => *known = if known.is_zero() { amount } else { known.plus(amount) },
        None => {
            amounts.insert(key.to_owned(), amount);
        }
    }
}

/// Adds all of `more`.
pub(super) fn add(amounts: &mut Amounts, more: &Amounts) {
    for (key, amount) in more {
        put(amounts, key, *amount);
    }
}

/// A map of amounts; what can't be read is left out.
pub(super) fn read(value: &Value) -> Amounts {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), text(value).parse().ok()?))).collect()
}

/// The name by which objects of a kind are counted.
pub(super) fn count_of(info: &KindInfo) -> String {
    if info.group.is_empty() {
        format!("count/{}", info.plural)
    } else {
        format!("count/{}.{}", info.plural, info.group)
    }
}

/// Whether objects of the kind can use anything of these resources.
pub(super) fn concerns<'a>(info: &KindInfo, mut keys: impl Iterator<Item = &'a String>) -> bool {
    let counted = count_of(info);
    keys.any(|key| {
        if *key == counted {
            return true;
        }
        if is_device_claim(info) {
            return key.ends_with(devices::QUOTA_SUFFIX);
        }
        if !info.group.is_empty() || key.starts_with("count/") {
            return false;
        }
        match info.plural {
            "services" => key == "services" || key.starts_with("services."),
            "persistentvolumeclaims" => {
                key == "persistentvolumeclaims" || key == "requests.storage" || key.contains(".storageclass.")
            }
            "pods" => {
                !key.starts_with("services")
                    && key != "requests.storage"
                    && !key.contains(".storageclass.")
                    && !key.ends_with(devices::QUOTA_SUFFIX)
                    && (key == "pods" || !COUNTED.contains(&key.as_str()))
            }
            plural => COUNTED.contains(&plural) && key == plural,
        }
    })
}

fn is_device_claim(info: &KindInfo) -> bool {
    (info.group, info.plural) == ("resource.k8s.io", "resourceclaims")
}

/// What an object uses.
pub(super) fn of(info: &KindInfo, object: &Value) -> Amounts {
    let mut used = Amounts::new();
    used.insert(count_of(info), ONE);
    if is_device_claim(info) {
        for (class, count) in devices::most_by_class(object) {
            used.insert(class + devices::QUOTA_SUFFIX, Quantity::new(count, Format::DecimalSi));
        }
    }
    if !info.group.is_empty() {
        return used;
    }
    match info.plural {
        "pods" => pod(object, &mut used),
        plural if COUNTED.contains(&plural) => {
            used.insert(plural.to_owned(), ONE);
        }
        _ => {}
    }
    match info.plural {
        "services" => service(object, &mut used),
        "persistentvolumeclaims" => claim(object, &mut used),
        _ => {}
    }
    used
}

fn service(service: &Value, used: &mut Amounts) {
    let spec = &service["spec"];
    let ports = i64::try_from(each(&spec["ports"]).count()).unwrap_or(i64::MAX);
    let ports = Quantity::new(ports, Format::DecimalSi);
    let kind = text(&spec["type"]);
    if kind == "LoadBalancer" {
        used.insert("services.loadbalancers".into(), ONE);
    }
    let node_ports =
        kind == "NodePort" || (kind == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != false);
    if node_ports {
        used.insert("services.nodeports".into(), ports);
    }
}

fn claim(claim: &Value, used: &mut Amounts) {
    let class = text(&claim["spec"]["storageClassName"]);
    let per_class = |what: &str| format!("{class}.storageclass.storage.k8s.io/{what}");
    if !class.is_empty() {
        used.insert(per_class("persistentvolumeclaims"), ONE);
    }
    if let Ok(asked) = text(&claim["spec"]["resources"]["requests"]["storage"]).parse::<Quantity>() {
        used.insert("requests.storage".into(), asked);
        if !class.is_empty() {
            used.insert(per_class("requests.storage"), asked);
        }
    }
}

/// A pod that has ended uses nothing but its own object.
fn pod(pod: &Value, used: &mut Amounts) {
    if matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed") {
        return;
    }
    used.insert("pods".into(), ONE);
    let overhead = read(&pod["spec"]["overhead"]);
    let mut requests = sum(pod, "requests");
    add(&mut requests, &overhead);
    for (name, amount) in &requests {
        if PLAIN.contains(&name.as_str()) {
            used.insert(name.clone(), *amount);
        }
        used.insert(format!("requests.{name}"), *amount);
    }
    for (name, mut amount) in sum(pod, "limits") {
        // Overhead joins a limit, but makes none.
        if let Some(more) = overhead.get(&name) {
            amount = amount.plus(*more);
        }
        used.insert(format!("limits.{name}"), amount);
    }
}

/// Containers and sidecars together, or the largest init container with the sidecars before it; what the pod as a
/// whole says counts instead.
fn sum(pod: &Value, part: &str) -> Amounts {
    let spec = &pod["spec"];
    let mut total = Amounts::new();
    for container in each(&spec["containers"]) {
        add(&mut total, &read(&container["resources"][part]));
    }
    let (mut sidecars, mut largest) = (Amounts::new(), Amounts::new());
    for container in each(&spec["initContainers"]) {
        let mut amounts = read(&container["resources"][part]);
        if container["restartPolicy"] == "Always" {
            add(&mut sidecars, &amounts);
            amounts = sidecars.clone();
        } else {
            add(&mut amounts, &sidecars);
        }
        raise(&mut largest, &amounts);
    }
    add(&mut total, &sidecars);
    raise(&mut total, &largest);
    total.extend(read(&spec["resources"][part]));
    total
}

fn raise(amounts: &mut Amounts, least: &Amounts) {
    for (key, amount) in least {
        let known = amounts.entry(key.clone()).or_insert(*amount);
        if *amount > *known {
            *known = *amount;
        }
    }
}

/// Whether a quota's scopes take in an object; scopes are for pods.
pub(super) fn in_scopes(quota: &Value, is_pod: bool, object: &Value) -> bool {
    let spec = &quota["spec"];
    let mut rules = each(&spec["scopes"])
        .map(|scope| (text(scope), "Exists", &Value::Null))
        .chain(
            each(&spec["scopeSelector"]["matchExpressions"])
                .map(|rule| (text(&rule["scopeName"]), text(&rule["operator"]), &rule["values"])),
        )
        .peekable();
    if rules.peek().is_none() {
        return true;
    }
    is_pod && rules.all(|(scope, operator, values)| in_scope(object, scope, operator, values))
}

fn in_scope(pod: &Value, scope: &str, operator: &str, values: &Value) -> bool {
    let spec = &pod["spec"];
    match scope {
        "Terminating" => spec["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0),
        "NotTerminating" => spec["activeDeadlineSeconds"].is_null(),
        "BestEffort" => is_best_effort(spec),
        "NotBestEffort" => !is_best_effort(spec),
        "PriorityClass" => {
            let class = text(&spec["priorityClassName"]);
            let listed = each(values).any(|value| value == class);
            match operator {
                "In" => listed,
                "NotIn" => !listed,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(&spec["affinity"]),
        _ => false,
    }
}

fn is_best_effort(spec: &Value) -> bool {
    each(&spec["containers"]).chain(each(&spec["initContainers"])).all(|container| {
        ["requests", "limits"].iter().all(|part| {
            let amounts = read(&container["resources"][*part]);
            ["cpu", "memory"].iter().all(|name| amounts.get(*name).copied().is_none_or(Quantity::is_zero))
        })
    })
}

fn crosses_namespaces(affinity: &Value) -> bool {
    let crosses =
        |term: &Value| each(&term["namespaces"]).next().is_some() || !term["namespaceSelector"].is_null();
    ["podAffinity", "podAntiAffinity"].iter().map(|side| &affinity[*side]).any(|side| {
        each(&side["requiredDuringSchedulingIgnoredDuringExecution"]).any(crosses)
            || each(&side["preferredDuringSchedulingIgnoredDuringExecution"])
                .any(|weighted| crosses(&weighted["podAffinityTerm"]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(plural: &str, object: Value) -> Vec<String> {
        let kind = cox_api::kinds::by_resource("", "v1", plural).unwrap();
        of(kind.info(), &object).into_iter().map(|(key, amount)| format!("{key}={amount}")).collect()
    }

    #[test]
    fn pods_use_their_sums() {
        let pod = json!({"spec": {"overhead": {"cpu": "10m"}, "containers": [
            {"resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}},
            {"resources": {"requests": {"cpu": "200m"}}}],
            "initContainers": [{"resources": {"requests": {"memory": "1Gi"}}}]}});
        assert_eq!(
            shown("pods", pod),
            [
                "count/pods=1",
                "cpu=310m",
                "limits.cpu=1010m",
                "memory=1Gi",
                "pods=1",
                "requests.cpu=310m",
                "requests.memory=1Gi"
            ]
        );
        assert_eq!(shown("pods", json!({"status": {"phase": "Failed"}})), ["count/pods=1"]);
    }

    #[test]
    fn services_and_claims() {
        let service = json!({"spec": {"type": "LoadBalancer", "ports": [{}, {}]}});
        assert_eq!(
            shown("services", service),
            ["count/services=1", "services=1", "services.loadbalancers=1", "services.nodeports=2"]
        );
        let claim =
            json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "5Gi"}}}});
        assert_eq!(
            shown("persistentvolumeclaims", claim),
            [
                "count/persistentvolumeclaims=1",
                "fast.storageclass.storage.k8s.io/persistentvolumeclaims=1",
                "fast.storageclass.storage.k8s.io/requests.storage=5Gi",
                "persistentvolumeclaims=1",
                "requests.storage=5Gi"
            ]
        );
    }

    #[test]
    fn kinds_are_looked_at_only_where_a_resource_asks_for_them() {
        let info = |plural: &str| cox_api::kinds::by_resource("", "v1", plural).unwrap().info();
        let keys = ["requests.cpu".to_owned(), "count/secrets".to_owned(), "services.nodeports".to_owned()];
        let asked: Vec<&str> = ["pods", "secrets", "services", "configmaps", "persistentvolumeclaims"]
            .into_iter()
            .filter(|plural| concerns(info(plural), keys.iter()))
            .collect();
        assert_eq!(asked, ["pods", "secrets", "services"]);
        let claims = cox_api::kinds::by_resource("resource.k8s.io", "v1", "resourceclaims").unwrap().info();
        assert!(!concerns(claims, keys.iter()));
        assert!(concerns(claims, ["gpu.deviceclass.resource.k8s.io/devices".to_owned()].iter()));
        assert!(!concerns(info("pods"), ["gpu.deviceclass.resource.k8s.io/devices".to_owned()].iter()));
    }
}
