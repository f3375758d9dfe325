//! `Endpoints` of `v1`.

use jiff::Timestamp;
use serde_json::Value;

use super::common::addresses;
use super::common::cells::{self, column};
use super::common::check;
use super::common::ip_forms;
use super::common::walk::{default_text, int, list, list_mut, text, text_ptr};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Scope};
use crate::meta::names;

/// The kind's rules.
pub struct Endpoints;

static INFO: KindInfo = KindInfo {
    group: "",
    version: "v1",
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "services/endpoints",
};

static COLUMNS: &[Column] = &[cells::NAME, column("Endpoints", "string", "Addresses and ports."), cells::AGE];

impl Kind for Endpoints {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn allows_create_on_update(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Value) {
        for subset in list_mut(object, "subsets") {
            for port in list_mut(subset, "ports") {
                default_text(port, "protocol", "TCP");
            }
        }
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![cells::name(object), shown(object).into(), cells::age(object, now)]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate(object, errors);
    }

    fn validate_update(&self, new: &Value, _old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate(new, errors);
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        // The controller writes addresses in their usual form.
        if text(&new["metadata"]["labels"], "endpoints.kubernetes.io/managed-by") == "endpoint-controller" {
            return warnings;
        }
        let root = Path::new("subsets");
        for (at, subset) in list(new, "subsets").iter().enumerate() {
            let path = root.index(at);
            for key in ["addresses", "notReadyAddresses"] {
                for (at, each) in list(subset, key).iter().enumerate() {
                    ip_forms::of_ip(&mut warnings, &path.child(key).index(at).child("ip"), text(each, "ip"));
                }
            }
        }
        warnings
    }

    fn deprecation(&self) -> Option<&'static str> {
        Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let root = Path::new("subsets");
    for (at, subset) in list(object, "subsets").iter().enumerate() {
        let path = root.index(at);
        if list(subset, "addresses").is_empty() && list(subset, "notReadyAddresses").is_empty() {
            errors.required(&path, "must specify `addresses` or `notReadyAddresses`");
        }
        for key in ["addresses", "notReadyAddresses"] {
            for (at, each) in list(subset, key).iter().enumerate() {
                address(errors, &path.child(key).index(at), each);
            }
        }
        let ports = list(subset, "ports");
        for (at, each) in ports.iter().enumerate() {
            port(errors, &path.child("ports").index(at), each, ports.len() > 1);
        }
    }
}

fn address(errors: &mut FieldErrors, path: &Path<'_>, address: &Value) {
    let ip = text(address, "ip");
    check::ip(errors, &path.child("ip"), ip);
    let host = text(address, "hostname");
    if !host.is_empty() {
        check::label(errors, &path.child("hostname"), host);
    }
    if let Some(node) = text_ptr(address, "nodeName") {
        check::subdomain(errors, &path.child("nodeName"), node);
    }
    addresses::not_special(errors, &path.child("ip"), ip);
}

fn port(errors: &mut FieldErrors, path: &Path<'_>, port: &Value, named: bool) {
    let name = text(port, "name");
    if named {
        check::required(errors, &path.child("name"), name);
    }
    if !name.is_empty() {
        check::label(errors, &path.child("name"), name);
    }
    let number = int(port, "port");
    for message in names::port_number(number) {
        errors.invalid(&path.child("port"), &number.into(), message);
    }
    check::required_one_of(errors, &path.child("protocol"), text(port, "protocol"), addresses::PROTOCOLS);
    if let Some(protocol) = text_ptr(port, "appProtocol") {
        check::qualified(errors, &path.child("appProtocol"), protocol);
    }
}

/// So many addresses are shown in a table.
const SHOWN_MAX: usize = 3;

fn shown(object: &Value) -> String {
    let subsets = list(object, "subsets");
    if subsets.is_empty() {
        return cells::NONE.to_owned();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let addresses = || list(subset, "addresses").iter().map(|address| text(address, "ip"));
        if list(subset, "ports").is_empty() {
            all.extend(addresses().map(str::to_owned));
        }
        for port in list(subset, "ports") {
            let number = int(port, "port");
            all.extend(addresses().map(|ip| {
                if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") }
            }));
        }
    }
    if all.len() > SHOWN_MAX {
        return format!("{} + {} more...", all[..SHOWN_MAX].join(","), all.len() - SHOWN_MAX);
    }
    all.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::faults;

    #[test]
    fn addresses_are_shown_and_checked() {
        let subset = |ips: &[&str]| {
            let addresses: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
            json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]})
        };
        let four = subset(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"]);
        assert_eq!(shown(&four), "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 1 more...");
        assert_eq!(shown(&subset(&["fd00::1"])), "[fd00::1]:80");
        assert_eq!(
            faults(&Endpoints, subset(&["127.0.0.1", "x"])),
            [
                "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                "subsets[0].addresses[1].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                "subsets[0].addresses[1].ip: Invalid value: \"x\": must be a valid IP address",
            ]
        );
        assert_eq!(
            faults(&Endpoints, json!({"subsets": [{}]})),
            ["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"]
        );
        assert_eq!(
            faults(&Endpoints, subset(&["0.0.0.0", "::ffff:169.254.0.1"])),
            [
                "subsets[0].addresses[0].ip: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0)",
                "subsets[0].addresses[1].ip: Invalid value: \"::ffff:169.254.0.1\": must not be an IPv4-mapped IPv6 address",
                "subsets[0].addresses[1].ip: Invalid value: \"::ffff:169.254.0.1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)",
            ]
        );
        let odd = "will be considered invalid in a future Kubernetes release: use \"10.0.0.1\"";
        assert_eq!(
            Endpoints.warnings(&subset(&["010.0.0.1"]), None),
            [format!("subsets[0].addresses[0].ip: non-standard IP address \"010.0.0.1\" {odd}")]
        );
    }
}
