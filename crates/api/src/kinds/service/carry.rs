//! What an update of a Service carries over from the old one, and what a change of its type takes away.
//! Source: `pkg/registry/core/service` of Kubernetes.

use serde_json::{Value, json};

use crate::kinds::common::walk::{ensure, flag_ptr, get, int, keep, list, list_mut, remove, same, set, text};

fn kind(object: &Value) -> &str {
    text(&object["spec"], "type")
}

/// Whether Services of this type have addresses in the cluster.
pub fn has_address(object: &Value) -> bool {
    matches!(kind(object), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether the ports are reached on nodes.
pub fn has_node_ports(object: &Value) -> bool {
    kind(object) == "NodePort"
        || (kind(object) == "LoadBalancer"
            && flag_ptr(&object["spec"], "allocateLoadBalancerNodePorts").unwrap_or(true))
}

/// Whether nodes are asked for their health on a port of its own.
pub fn has_health_port(object: &Value) -> bool {
    kind(object) == "LoadBalancer" && text(&object["spec"], "externalTrafficPolicy") == "Local"
}

/// Whether it is reached from outside the cluster.
pub fn is_external(object: &Value) -> bool {
    matches!(kind(object), "LoadBalancer" | "NodePort")
        || (kind(object) == "ClusterIP" && !list(&object["spec"], "externalIPs").is_empty())
}

/// An update that leaves out what was allocated keeps it: clients needn't know of it.
pub fn allocated(new: &mut Value, old: &Value) {
    let was = &old["spec"];
    if has_address(new) && has_address(old) {
        let spec = ensure(new, "spec");
        if text(spec, "clusterIP").is_empty() {
            keep(spec, was, "clusterIP");
        }
        if list(spec, "clusterIPs").is_empty() && text(spec, "clusterIP") == text(was, "clusterIP") {
            keep(spec, was, "clusterIPs");
        }
    }
    let on_nodes = |object: &Value| matches!(kind(object), "NodePort" | "LoadBalancer");
    if on_nodes(new) && on_nodes(old) {
        let numbers = |spec: &Value| -> Vec<i64> {
            list(spec, "ports")
                .iter()
                .map(|port| int(port, "nodePort"))
                .filter(|number| *number != 0)
                .collect()
        };
        let (used, known) = (numbers(&new["spec"]), list(was, "ports"));
        for port in list_mut(ensure(new, "spec"), "ports") {
            if int(port, "nodePort") != 0 {
                continue;
            }
            // A port is known by its name, whatever else of it has changed; of several the last one counts.
            let same = known.iter().rev().find(|known| text(known, "name") == text(port, "name"));
            if let Some(number) = same.map(|known| int(known, "nodePort"))
                && number != 0
                && !used.contains(&number)
            {
                set(port, "nodePort", number);
            }
        }
    }
    if has_health_port(new) && has_health_port(old) && int(&new["spec"], "healthCheckNodePort") == 0 {
        keep(ensure(new, "spec"), was, "healthCheckNodePort");
    }
}

/// Clients that know `clusterIP` only change `clusterIPs` along with it.
pub fn normalize_addresses(new: &mut Value, old: Option<&Value>) {
    let spec = ensure(new, "spec");
    let address = text(spec, "clusterIP").to_owned();
    let Some(old) = old else {
        if !address.is_empty() && list(spec, "clusterIPs").is_empty() {
            set(spec, "clusterIPs", json!([address]));
        }
        return;
    };
    let was = &old["spec"];
    if address != text(was, "clusterIP") && same(get(spec, "clusterIPs"), get(was, "clusterIPs")) {
        if address.is_empty() {
            remove(spec, "clusterIPs");
        } else {
            set(spec, "clusterIPs", json!([address]));
        }
    }
}

/// What the new type can't have goes, where the client left it as it was.
pub fn drop_what_the_type_lacks(new: &mut Value, old: &Value) {
    let was = &old["spec"];
    let (address, node_ports, health, external) =
        (has_address(new), has_node_ports(new), has_health_port(new), is_external(new));
    let balanced = kind(new) == "LoadBalancer";
    let spec = ensure(new, "spec");
    let mut drop = |keys: &[&str]| {
        if keys.iter().all(|key| same(get(spec, key), get(was, key))) {
            for key in keys {
                remove(spec, key);
            }
        }
    };
    if has_address(old) && !address {
        drop(&["clusterIP", "clusterIPs"]);
        drop(&["ipFamilies"]);
        drop(&["ipFamilyPolicy"]);
    }
    if has_address(old) && !address {
        drop(&["internalTrafficPolicy"]);
    }
    if has_health_port(old) && !health {
        drop(&["healthCheckNodePort"]);
    }
    if kind(old) == "LoadBalancer" && !balanced {
        drop(&["allocateLoadBalancerNodePorts"]);
        drop(&["loadBalancerClass"]);
    }
    if is_external(old) && !external {
        drop(&["externalTrafficPolicy"]);
    }
    if !balanced {
        // Whoever balanced it does so no more.
        if let Some(status) = new.get_mut("status") {
            set(status, "loadBalancer", json!({}));
        }
    }
    let spec = ensure(new, "spec");
    if has_node_ports(old) && !node_ports {
        let numbers = |spec: &Value| -> Vec<i64> {
            list(spec, "ports").iter().map(|port| int(port, "nodePort")).collect()
        };
        if numbers(spec) == numbers(was) {
            for port in list_mut(spec, "ports") {
                remove(port, "nodePort");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(kind: &str, port: Value) -> Value {
        json!({"spec": {"type": kind, "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [port]}})
    }

    #[test]
    fn updates_keep_addresses_and_ports() {
        let old = service("NodePort", json!({"port": 80, "protocol": "TCP", "nodePort": 30_080}));
        let mut new = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}});
        allocated(&mut new, &old);
        assert_eq!(new, old);
        // A port is known by its name.
        let named = |name: &str, port: i64| json!({"spec": {"type": "NodePort", "ports": [{"name": name, "port": port}]}});
        let mut old = named("a", 80);
        old["spec"]["ports"][0]["nodePort"] = 30_080.into();
        for (name, port, kept) in [("a", 81, json!(30_080)), ("b", 80, Value::Null)] {
            let mut new = named(name, port);
            allocated(&mut new, &old);
            assert_eq!(new["spec"]["ports"][0]["nodePort"], kept, "{name} {port}");
        }
    }

    #[test]
    fn a_new_type_drops_what_it_lacks() {
        let old = service("NodePort", json!({"port": 80, "nodePort": 30_080}));
        let mut new = service("ClusterIP", json!({"port": 80, "nodePort": 30_080}));
        drop_what_the_type_lacks(&mut new, &old);
        assert_eq!(new, service("ClusterIP", json!({"port": 80})));
        let mut named =
            json!({"spec": {"type": "ExternalName", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}});
        drop_what_the_type_lacks(&mut named, &new);
        assert_eq!(named, json!({"spec": {"type": "ExternalName"}}));
    }

    #[test]
    fn one_address_changes_both_fields() {
        let old = service("ClusterIP", json!({"port": 80}));
        let mut new = old.clone();
        new["spec"]["clusterIP"] = "None".into();
        normalize_addresses(&mut new, Some(&old));
        assert_eq!(new["spec"]["clusterIPs"], json!(["None"]));
    }
}
