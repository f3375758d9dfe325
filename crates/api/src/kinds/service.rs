//! `Service` of `v1`.

pub mod carry;
mod defaults;
pub mod families;
pub mod validate;
mod warnings;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column, wide};
use super::common::load_balancer;
use super::common::walk::{get, int, list, set, text, texts};
use crate::field::FieldErrors;
use crate::kind::{Column, Kind, KindInfo, NameRule, Part, Rules, Scope, Subresource};

/// The kind's rules.
pub struct Service;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[
        Subresource {
            name: "proxy",
            kind: "ServiceProxyOptions",
            group: "",
            version: "",
            verbs: &["create", "delete", "get", "patch", "update"],
        },
        Subresource {
            name: "status",
            kind: "Service",
            group: "",
            version: "",
            verbs: &["get", "patch", "update"],
        },
    ],
    store_prefix: "services/specs",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("Type", "string", "How it is reached."),
    column("Cluster-IP", "string", "Address in the cluster."),
    column("External-IP", "string", "Addresses outside."),
    column("Port(s)", "string", "Ports."),
    cells::AGE,
    wide("Selector", "string", "Selector of the pods."),
];

impl Kind for Service {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Label
    }

    fn set_defaults(&self, object: &mut Value) {
        defaults::set(object);
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        set(object, "status", json!({}));
        carry::normalize_addresses(object, None);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, part: Part, _rules: &Rules<'_>) {
        if part == Part::Main {
            carry::allocated(new, old);
            carry::normalize_addresses(new, Some(old));
            carry::drop_what_the_type_lacks(new, old);
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let address = match list(spec, "clusterIPs").first().and_then(Value::as_str) {
            Some(address) => address,
            None => cells::NONE,
        };
        vec![
            cells::name(object),
            text(spec, "type").into(),
            address.into(),
            external(object).into(),
            ports(spec).into(),
            cells::age(object, now),
            cells::labels(get(spec, "selector").and_then(Value::as_object)),
        ]
    }

    fn selectable(&self, object: &Value) -> Vec<(&'static str, String)> {
        let spec = &object["spec"];
        vec![
            ("spec.clusterIP", text(spec, "clusterIP").to_owned()),
            ("spec.type", text(spec, "type").to_owned()),
        ]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::object(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
        if part == Part::Status {
            validate::status(new, errors);
            return;
        }
        families::update(new, old, errors);
        validate::class_stays(new, old, errors);
        validate::health_port_stays(new, old, errors);
        validate::object(new, errors);
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        warnings::of(new)
    }
}

fn external(object: &Value) -> String {
    let spec = &object["spec"];
    let mut all: Vec<String> = texts(spec, "externalIPs").map(str::to_owned).collect();
    match text(spec, "type") {
        "ExternalName" => text(spec, "externalName").to_owned(),
        "LoadBalancer" => {
            let balancers = load_balancer::addresses(&object["status"]["loadBalancer"]);
            if !balancers.is_empty() {
                all.insert(0, balancers);
            }
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ if all.is_empty() => cells::NONE.to_owned(),
        _ => all.join(","),
    }
}

fn ports(spec: &Value) -> String {
    let all: Vec<String> = list(spec, "ports")
        .iter()
        .map(|port| match int(port, "nodePort") {
            0 => format!("{}/{}", int(port, "port"), text(port, "protocol")),
            node => format!("{}:{node}/{}", int(port, "port"), text(port, "protocol")),
        })
        .collect();
    if all.is_empty() { cells::NONE.to_owned() } else { all.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{faults, made, update_faults};

    fn service(spec: Value) -> Value {
        let mut all = json!({"ports": [{"port": 80}]});
        for (key, value) in spec.as_object().expect("an object") {
            all[key] = value.clone();
        }
        json!({"spec": all})
    }

    #[test]
    fn defaults_depend_on_the_type() {
        let plain = made(&Service, service(json!({})));
        assert_eq!(
            plain["spec"],
            json!({"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]})
        );
        let balanced =
            made(&Service, service(json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP"})));
        assert_eq!(balanced["spec"]["allocateLoadBalancerNodePorts"], true);
        assert_eq!(balanced["spec"]["externalTrafficPolicy"], "Cluster");
        assert_eq!(balanced["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"], 10_800);
    }

    #[test]
    fn fields_belong_to_types() {
        for (spec, expected) in [
            (json!({"ports": []}), "spec.ports: Required value"),
            (
                json!({"ports": [{"port": 1, "nodePort": 30_080}]}),
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            ),
            (
                json!({"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 1}]}),
                "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":1,\"TargetPort\":0,\"NodePort\":0}",
            ),
            (
                json!({"externalTrafficPolicy": "Local"}),
                "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
            ),
            (
                json!({"loadBalancerClass": "x.io/y"}),
                "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
            ),
            (
                json!({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]}),
                "spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: first value must match `clusterIP`",
            ),
            (
                json!({"clusterIP": "10.0.0.1", "ipFamilies": ["IPv6"]}),
                "spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`",
            ),
        ] {
            assert_eq!(faults(&Service, service(spec.clone())), [expected], "{spec}");
        }
    }

    #[test]
    fn annotations_say_the_same() {
        let annotated = |annotations: Value, spec: Value| {
            let mut object = service(spec);
            object["metadata"] = json!({"name": "x", "annotations": annotations});
            faults(&Service, object)
        };
        let ranges = "service.beta.kubernetes.io/load-balancer-source-ranges";
        for (annotations, spec, expected) in [
            (
                json!({"service.kubernetes.io/topology-aware-hints": "auto", "service.kubernetes.io/topology-mode": "x"}),
                json!({}),
                vec![
                    "metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: \"x\": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified",
                ],
            ),
            (
                json!({ranges: "10.0.0.0/8"}),
                json!({}),
                vec![
                    "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Forbidden: may only be used when `type` is 'LoadBalancer'",
                ],
            ),
            (json!({ranges: " 10.0.0.0/8, 1.2.3.4/32 "}), json!({"type": "LoadBalancer"}), vec![]),
            (
                json!({ranges: "x"}),
                json!({"type": "LoadBalancer"}),
                vec![
                    "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
                ],
            ),
        ] {
            assert_eq!(annotated(annotations.clone(), spec), expected, "{annotations}");
        }
        assert!(
            faults(&Service, service(json!({"type": "LoadBalancer", "ports": [{"port": 10_250}]})))
                .is_empty()
        );
    }

    #[test]
    fn the_health_port_stays() {
        let local =
            json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30_001});
        let moved = update_faults(&Service, service(local), Part::Main, |new| {
            new["spec"]["healthCheckNodePort"] = 70_000.into();
        });
        assert_eq!(
            moved,
            [
                "spec.healthCheckNodePort: Forbidden: field is immutable",
                "spec.healthCheckNodePort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ]
        );
    }

    #[test]
    fn only_load_balancers_are_balanced() {
        let balanced = |kind: &str, ingress: Value| {
            update_faults(&Service, service(json!({"type": kind})), Part::Status, |new| {
                new["status"] = json!({"loadBalancer": {"ingress": [ingress]}});
            })
        };
        for (kind, ingress, expected) in [
            ("LoadBalancer", json!({"ip": "1.2.3.4"}), vec![]),
            (
                "ClusterIP",
                json!({"ip": "1.2.3.4"}),
                vec![
                    "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'",
                ],
            ),
            (
                "LoadBalancer",
                json!({"hostname": "a.b", "ipMode": "VIP"}),
                vec![
                    "status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set",
                ],
            ),
            (
                "LoadBalancer",
                json!({"ip": "1.2.3.4", "ipMode": "X"}),
                vec![
                    "status.loadBalancer.ingress[0].ipMode: Unsupported value: \"X\": supported values: \"Proxy\", \"VIP\"",
                ],
            ),
            (
                "LoadBalancer",
                json!({"hostname": "1.2.3.4"}),
                vec![
                    "status.loadBalancer.ingress[0].hostname: Invalid value: \"1.2.3.4\": must be a DNS name, not an IP address",
                ],
            ),
        ] {
            assert_eq!(balanced(kind, ingress.clone()), expected, "{kind} {ingress}");
        }
    }

    #[test]
    fn addresses_stay() {
        let old = service(json!({"clusterIP": "10.0.0.1"}));
        let kept = update_faults(&Service, old.clone(), Part::Main, |new| {
            new["spec"]["clusterIP"] = "".into();
            new["spec"]["clusterIPs"] = Value::Null;
        });
        assert!(kept.is_empty(), "{kept:?}");
        let moved =
            update_faults(&Service, old, Part::Main, |new| new["spec"]["clusterIP"] = "10.0.0.2".into());
        assert_eq!(moved, ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"]);
    }
}
