//! What clients are warned of: what does nothing, and what is going.
//! Source: `pkg/api/service/warnings.go` of Kubernetes.

use serde_json::Value;

use crate::field::{Path, quote};
use crate::kinds::common::ip_forms::{of_cidr, of_ip};
use crate::kinds::common::walk::{get, list, text, texts};

/// Hints by topology: the older annotation.
pub const OLD_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
/// Hints by topology: the newer annotation.
pub const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";

/// Warnings for a new or changed Service.
pub fn of(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if get(&object["metadata"]["annotations"], OLD_HINTS).is_some() {
        warnings.push(format!("annotation {OLD_HINTS} is deprecated, please use {TOPOLOGY_MODE} instead"));
    }
    let spec = &object["spec"];
    let path = Path::new("spec");
    let (kind, external) = (text(spec, "type"), !list(spec, "externalIPs").is_empty());
    let address = text(spec, "clusterIP");
    let headless = kind == "ClusterIP" && address == "None";
    if !matches!(address, "" | "None") {
        let path = path.child("clusterIPs");
        for (at, ip) in texts(spec, "clusterIPs").enumerate() {
            of_ip(&mut warnings, &path.index(at), ip);
        }
    }
    let balancer = text(spec, "loadBalancerIP");
    if headless {
        let ignored = [
            ("loadBalancerIP", !balancer.is_empty()),
            ("externalIPs", external),
            ("SessionAffinity", text(spec, "sessionAffinity") != "None"),
        ];
        for (field, _) in ignored.into_iter().filter(|(_, used)| *used) {
            warnings.push(format!("spec.{field} is ignored for headless services"));
        }
    }
    for (at, ip) in texts(spec, "externalIPs").enumerate() {
        let path = path.child("externalIPs");
        of_ip(&mut warnings, &path.index(at), ip);
    }
    if external && !headless && kind != "ExternalName" {
        let words = "spec.externalIPs is deprecated and may no longer be implemented in some clusters";
        warnings.push(words.to_owned());
    }
    of_ip(&mut warnings, &path.child("loadBalancerIP"), balancer);
    for (at, range) in texts(spec, "loadBalancerSourceRanges").enumerate() {
        let path = path.child("loadBalancerSourceRanges");
        of_cidr(&mut warnings, &path.index(at), range);
    }
    if kind == "ExternalName" && external {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if kind != "ExternalName" && !text(spec, "externalName").is_empty() {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if text(spec, "trafficDistribution") == "PreferClose" {
        let (old, new) = (quote("PreferClose"), quote("PreferSameZone"));
        warnings.push(format!("spec.trafficDistribution: {old} is deprecated; use {new}"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_nothing_is_told() {
        for (spec, expected) in [
            (json!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}), vec![]),
            (
                json!({"type": "ClusterIP", "clusterIP": "None", "sessionAffinity": "ClientIP", "loadBalancerIP": "1.2.3.4", "externalIPs": ["1.2.3.4"]}),
                vec![
                    "spec.loadBalancerIP is ignored for headless services",
                    "spec.externalIPs is ignored for headless services",
                    "spec.SessionAffinity is ignored for headless services",
                ],
            ),
            (
                json!({"type": "ExternalName", "externalName": "a", "externalIPs": ["1.2.3.4"]}),
                vec!["spec.externalIPs is ignored when spec.type is \"ExternalName\""],
            ),
            (
                json!({"type": "ClusterIP", "externalName": "a", "trafficDistribution": "PreferClose"}),
                vec![
                    "spec.externalName is ignored when spec.type is not \"ExternalName\"",
                    "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
                ],
            ),
            (
                json!({"type": "LoadBalancer", "externalIPs": ["1.2.3.004"], "loadBalancerSourceRanges": ["10.0.0.1/8"]}),
                vec![
                    "spec.externalIPs[0]: non-standard IP address \"1.2.3.004\" will be considered invalid in a future Kubernetes release: use \"1.2.3.4\"",
                    "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
                    "spec.loadBalancerSourceRanges[0]: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)",
                ],
            ),
        ] {
            assert_eq!(of(&json!({"spec": spec})), expected, "{spec}");
        }
        let noted = json!({"metadata": {"annotations": {OLD_HINTS: "auto"}}, "spec": {"type": "ClusterIP"}});
        assert_eq!(
            of(&noted),
            [
                "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"
            ]
        );
    }
}
