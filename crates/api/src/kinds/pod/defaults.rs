//! Defaults that pods have and templates don't.

use serde_json::{Map, Value, json};

use super::quantities;
use super::spec_defaults;
use crate::kinds::common::walk::{
    default, ensure, flag, get, get_mut, int, list, list_mut, map, map_of, set, text,
};

/// Defaults of a pod.
pub fn pod(pod: &mut Value) {
    let spec = ensure(pod, "spec");
    for key in ["containers", "initContainers"] {
        for each in list_mut(spec, key) {
            if let Some(resources) = get_mut(each, "resources") {
                requests_from_limits(resources);
            }
        }
    }
    default(spec, "enableServiceLinks", true);
    if flag(spec, "hostNetwork") {
        for key in ["containers", "initContainers"] {
            for each in list_mut(spec, key) {
                host_ports(each);
            }
        }
    }
    pod_level_requests(spec);
    spec_defaults::pod_spec(spec);
    if int(spec, "terminationGracePeriodSeconds") < 0 {
        set(spec, "terminationGracePeriodSeconds", 1);
    }
    if let Some(status) = get_mut(pod, "status") {
        addresses(status);
    }
}

/// A limit is also the request, where there is none.
fn requests_from_limits(resources: &mut Value) {
    let missing: Vec<(String, Value)> = {
        let requests = map(resources, "requests");
        map(resources, "limits")
            .iter()
            .filter(|(name, _)| !requests.contains_key(*name))
            .map(|(name, quantity)| (name.clone(), quantity.clone()))
            .collect()
    };
    if !missing.is_empty() {
        map_of(ensure(resources, "requests")).extend(missing);
    }
}

/// In the host's network a container's port is the host's port.
fn host_ports(container: &mut Value) {
    for port in list_mut(container, "ports") {
        if int(port, "hostPort") == 0 && int(port, "containerPort") != 0 {
            let number = int(port, "containerPort");
            set(port, "hostPort", number);
        }
    }
}

/// Requests of the whole pod: what its containers ask for together, else the pod's limit. KEP-2837.
fn pod_level_requests(spec: &mut Value) {
    let Some(resources) = get(spec, "resources") else { return };
    if map(resources, "limits").is_empty() && map(resources, "requests").is_empty() {
        return;
    }
    let mut limits = map(resources, "limits").clone();
    let mut requests = map(resources, "requests").clone();
    for (name, sum) in quantities::aggregate(spec, "limits") {
        if name.starts_with("hugepages-") && !limits.contains_key(&name) && !requests.contains_key(&name) {
            limits.insert(name, sum.to_string().into());
        }
    }
    for (name, sum) in quantities::aggregate(spec, "requests") {
        if quantities::is_pod_level(&name) && !name.starts_with("hugepages-") {
            requests.entry(name).or_insert_with(|| sum.to_string().into());
        }
    }
    for (name, limit) in &limits {
        if quantities::is_pod_level(name) && !requests.contains_key(name) {
            requests.insert(name.clone(), limit.clone());
        }
    }
    let resources = ensure(spec, "resources");
    let put = |resources: &mut Value, key: &str, list: Map<String, Value>| {
        if !list.is_empty() {
            set(resources, key, Value::Object(list));
        }
    };
    put(resources, "limits", limits);
    put(resources, "requests", requests);
}

/// `podIP` is the first of `podIPs`; where they differ, `podIP` wins.
fn addresses(status: &mut Value) {
    let ip = text(status, "podIP");
    let first = list(status, "podIPs").first().map_or("", |first| text(first, "ip"));
    if ip == first {
        return;
    }
    if ip.is_empty() {
        let first = first.to_owned();
        set(status, "podIP", first);
    } else {
        let ips = json!([{ "ip": ip }]);
        set(status, "podIPs", ips);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_get_more_than_templates() {
        let mut object = json!({"spec": {"hostNetwork": true, "terminationGracePeriodSeconds": -5,
            "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}}]},
            "status": {"podIP": "10.0.0.1"}});
        pod(&mut object);
        let spec = &object["spec"];
        assert_eq!(spec["enableServiceLinks"], true);
        assert_eq!(spec["terminationGracePeriodSeconds"], 1);
        assert_eq!(spec["containers"][0]["ports"][0]["hostPort"], 80);
        assert_eq!(spec["containers"][0]["resources"]["requests"], json!({"cpu": "500m", "memory": "1Gi"}));
        assert_eq!(object["status"]["podIPs"], json!([{"ip": "10.0.0.1"}]));
    }

    #[test]
    fn pod_level_requests_come_from_containers_then_limits() {
        let mut object = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "1"}}}],
            "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}});
        pod(&mut object);
        assert_eq!(object["spec"]["resources"]["requests"], json!({"cpu": "1", "memory": "1Gi"}));
    }
}
