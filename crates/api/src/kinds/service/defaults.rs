//! What a Service leaves out.

use serde_json::{Value, json};

use crate::kinds::common::walk::{
    self, default, default_text, ensure, get, get_mut, int, list, list_mut, remove, text,
};

/// Seconds for which a client keeps its endpoint.
const AFFINITY_SECONDS: i64 = 10_800;

/// Sets the defaults.
pub fn set(object: &mut Value) {
    let spec = ensure(object, "spec");
    default_text(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => {
            remove(spec, "sessionAffinityConfig");
        }
        "ClientIP" => {
            default(
                ensure(ensure(spec, "sessionAffinityConfig"), "clientIP"),
                "timeoutSeconds",
                AFFINITY_SECONDS,
            );
        }
        _ => {}
    }
    default_text(spec, "type", "ClusterIP");
    for port in list_mut(spec, "ports") {
        default_text(port, "protocol", "TCP");
        if get(port, "targetPort").is_none_or(|target| *target == json!(0) || target == "") {
            let number = int(port, "port");
            walk::set(port, "targetPort", number);
        }
    }
    let balanced = text(spec, "type") == "LoadBalancer";
    let external = balanced
        || text(spec, "type") == "NodePort"
        || (text(spec, "type") == "ClusterIP" && !list(spec, "externalIPs").is_empty());
    if external {
        default_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(text(spec, "type"), "ClusterIP" | "NodePort" | "LoadBalancer") {
        default(spec, "internalTrafficPolicy", "Cluster");
    }
    if balanced {
        default(spec, "allocateLoadBalancerNodePorts", true);
        let status = get_mut(object, "status").and_then(|status| get_mut(status, "loadBalancer"));
        for each in status.map_or(&mut [][..], |status| list_mut(status, "ingress")) {
            if !text(each, "ip").is_empty() {
                default(each, "ipMode", "VIP");
            }
        }
    }
}
