//! `NetworkPolicy` of `networking.k8s.io/v1`: which connections pods take and make.
//! Source: <https://kubernetes.io/docs/concepts/services-networking/network-policies/>

mod validate;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::common::cells::{self, column};
use super::common::ip_forms;
use super::common::label_selector;
use super::common::walk::{default_text, ensure, get, list, list_mut, set, text, texts};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};

/// The kind's rules.
pub struct NetworkPolicy;

static INFO: KindInfo = KindInfo {
    group: "networking.k8s.io",
    version: "v1",
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    singular: "networkpolicy",
    short_names: &["netpol"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "networkpolicies",
};

static COLUMNS: &[Column] =
    &[cells::NAME, column("Pod-Selector", "string", "The pods it is about."), cells::AGE];

/// The two directions: the rules' field, and their field of peers.
const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

impl Kind for NetworkPolicy {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn counts_generations(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = ensure(object, "spec");
        for (rules, _) in DIRECTIONS {
            for rule in list_mut(spec, rules) {
                for port in list_mut(rule, "ports") {
                    default_text(port, "protocol", "TCP");
                }
            }
        }
        if list(spec, "policyTypes").is_empty() {
            let egress = !list(spec, "egress").is_empty();
            let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
            set(spec, "policyTypes", types);
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let selector = label_selector::show(get(&object["spec"], "podSelector"));
        vec![cells::name(object), selector.into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::spec(object, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        // Upstream checks an update as a new object, and again as an update: it shows in the causes.
        validate::spec(new, errors);
        validate::spec(new, errors);
    }

    /// Blocks that are valid and oddly written. KEP-4858.
    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        let path = Path::new("spec");
        for (rules, peers) in DIRECTIONS {
            let path = path.child(rules);
            for (at, rule) in list(&new["spec"], rules).iter().enumerate() {
                let path = path.index(at);
                let path = path.child(peers);
                for (at, peer) in list(rule, peers).iter().enumerate() {
                    let Some(block) = get(peer, "ipBlock") else { continue };
                    let path = path.index(at);
                    let path = path.child("ipBlock");
                    ip_forms::of_cidr(&mut warnings, &path.child("cidr"), text(block, "cidr"));
                    for (at, except) in texts(block, "except").enumerate() {
                        ip_forms::of_cidr(&mut warnings, &path.child("except").index(at), except);
                    }
                }
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::common::testing::{faults, made, update_faults};

    #[test]
    fn types_follow_from_the_rules_and_ports_are_of_tcp() {
        for (spec, expected) in [
            (json!({}), json!(["Ingress"])),
            (json!({"egress": []}), json!(["Ingress"])),
            (json!({"egress": [{}]}), json!(["Ingress", "Egress"])),
            (json!({"egress": [{}], "policyTypes": ["Ingress"]}), json!(["Ingress"])),
        ] {
            assert_eq!(made(&NetworkPolicy, json!({"spec": spec}))["spec"]["policyTypes"], expected);
        }
        let ports = json!([{"port": 1}, {"port": 2, "protocol": "UDP"}]);
        let policy = made(
            &NetworkPolicy,
            json!({"spec": {"ingress": [{"ports": ports}], "egress": [{"ports": ports}]}}),
        );
        for rules in ["ingress", "egress"] {
            let protocols: Vec<&str> =
                list(&policy["spec"][rules][0], "ports").iter().map(|port| text(port, "protocol")).collect();
            assert_eq!(protocols, ["TCP", "UDP"]);
        }
    }

    #[test]
    fn rules_of_both_directions_are_checked() {
        let bad = json!({"ports": [{"port": "Bad_Port"}, {"port": 80, "endPort": 70000}], "to": [
            {"ipBlock": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["x", "10.0.0.0/8", "10.1.0.0/16"]}}]});
        let port = "spec.egress[0].ports";
        let to = "spec.egress[0].to";
        let expected = [
            format!(
                "{port}[0].port: Invalid value: \"Bad_Port\": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
            ),
            format!("{port}[1].endPort: Invalid value: 70000: must be between 1 and 65535, inclusive"),
            format!("{to}[0].ipBlock.cidr: Required value"),
            format!(
                "{to}[1].ipBlock.except[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            ),
            format!(
                "{to}[1].ipBlock.except[1]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`"
            ),
        ];
        assert_eq!(faults(&NetworkPolicy, json!({"spec": {"egress": [bad]}})), expected);
    }

    #[test]
    fn a_fault_of_an_update_has_two_causes() {
        let found = update_faults(&NetworkPolicy, json!({"spec": {}}), Part::Main, |new| {
            new["spec"]["ingress"] = json!([{"from": [{}]}]);
        });
        let fault = "spec.ingress[0].from[0]: Required value: must specify a peer";
        assert_eq!(found, [fault, fault]);
    }

    #[test]
    fn oddly_written_blocks_are_warned_of() {
        let policy = json!({"spec": {"egress": [{"to": [{"podSelector": {}},
            {"ipBlock": {"cidr": "2001:DB8::/32", "except": ["2001:db8:0::/64"]}}]}]}});
        let path = "spec.egress[0].to[1].ipBlock";
        let words = |field: &str, given: &str, usual: &str| {
            format!(
                "{path}.{field}: IPv6 CIDR value \"{given}\" should be in RFC 5952 canonical format (\"{usual}\")"
            )
        };
        assert_eq!(
            NetworkPolicy.warnings(&policy, None),
            [
                words("cidr", "2001:DB8::/32", "2001:db8::/32"),
                words("except[0]", "2001:db8:0::/64", "2001:db8::/64")
            ]
        );
    }
}
