//! `EndpointSlice` of `discovery.k8s.io/v1`.

mod validate;

use jiff::Timestamp;
use serde_json::Value;

use super::common::cells::{self, column};
use super::common::check;
use super::common::ip_forms;
use super::common::walk::{
    default, ensure, get, int, int_ptr, list, list_mut, remove, same, set, text, texts,
};
use crate::field::{FieldErrors, Path};
use crate::kind::{Column, Kind, KindInfo, Part, Rules, Scope};

/// The kind's rules.
pub struct EndpointSlice;

static INFO: KindInfo = KindInfo {
    group: "discovery.k8s.io",
    version: "v1",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    verbs: &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    subresources: &[],
    store_prefix: "endpointslices",
};

static COLUMNS: &[Column] = &[
    cells::NAME,
    column("AddressType", "string", "The kind of addresses."),
    column("Ports", "string", "Ports of the endpoints."),
    column("Endpoints", "string", "Addresses of the endpoints."),
    cells::AGE,
];

impl Kind for EndpointSlice {
    fn info(&self) -> &'static KindInfo {
        &INFO
    }

    fn set_defaults(&self, object: &mut Value) {
        for port in list_mut(object, "ports") {
            default(port, "name", "");
            default(port, "protocol", "TCP");
        }
    }

    fn prepare_create(&self, object: &mut Value, _rules: &Rules<'_>) {
        set(ensure(object, "metadata"), "generation", 1);
        for endpoint in list_mut(object, "endpoints") {
            remove(endpoint, "deprecatedTopology");
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _part: Part, _rules: &Rules<'_>) {
        // What was stored by an old server may stay, but nothing new comes in.
        let known = |topology: &Value| {
            list(old, "endpoints")
                .iter()
                .any(|endpoint| get(endpoint, "deprecatedTopology") == Some(topology))
        };
        for endpoint in list_mut(new, "endpoints") {
            if get(endpoint, "deprecatedTopology").is_some_and(|topology| !known(topology)) {
                remove(endpoint, "deprecatedTopology");
            }
        }
        // Labels name the service and the manager: they count like the rest.
        let labels = same(get(&new["metadata"], "labels"), get(&old["metadata"], "labels"));
        let rest = ["addressType", "endpoints", "ports"];
        if !labels || rest.iter().any(|key| !same(get(new, key), get(old, key))) {
            let generation = int(&old["metadata"], "generation") + 1;
            set(ensure(new, "metadata"), "generation", generation);
        }
    }

    fn repeats_metadata_checks(&self) -> bool {
        false
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        if old.is_none() && text(new, "addressType") == "FQDN" {
            warnings.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
        }
        // The controllers write addresses in their usual form.
        let keeper = text(&new["metadata"]["labels"], "endpointslice.kubernetes.io/managed-by");
        if matches!(keeper, "endpointslice-controller.k8s.io" | "endpointslicemirroring-controller.k8s.io") {
            return warnings;
        }
        let root = Path::new("endpoints");
        for (at, endpoint) in list(new, "endpoints").iter().enumerate() {
            let path = root.index(at);
            let path = path.child("addresses");
            for (at, address) in texts(endpoint, "addresses").enumerate() {
                ip_forms::of_ip(&mut warnings, &path.index(at), address);
            }
        }
        warnings
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let ports = list(object, "ports")
            .iter()
            .map(|port| int_ptr(port, "port").map_or_else(|| "*".to_owned(), |number| number.to_string()));
        let addresses = list(object, "endpoints").iter().flat_map(|endpoint| texts(endpoint, "addresses"));
        vec![
            cells::name(object),
            text(object, "addressType").into(),
            shown(ports.collect()).into(),
            shown(addresses.map(str::to_owned).collect()).into(),
            cells::age(object, now),
        ]
    }

    fn validate_create(&self, object: &Value, errors: &mut FieldErrors) {
        validate::object(object, errors);
    }

    fn validate_update(&self, new: &Value, old: &Value, _part: Part, errors: &mut FieldErrors) {
        validate::object(new, errors);
        let key = "addressType";
        check::immutable(errors, &Path::new(key), get(new, key), get(old, key), Value::to_string);
    }
}

/// So many ports or addresses are shown in a table.
const SHOWN_MAX: usize = 3;

fn shown(all: Vec<String>) -> String {
    match all.len() {
        0 => "<unset>".to_owned(),
        many if many > SHOWN_MAX => {
            format!("{} + {} more...", all[..SHOWN_MAX].join(","), many - SHOWN_MAX)
        }
        _ => all.join(","),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::common::testing::{changed, faults, made, update_faults};

    #[test]
    fn labels_count_as_a_change() {
        let old = made(&EndpointSlice, json!({"addressType": "IPv4", "endpoints": []}));
        assert_eq!(old["metadata"]["generation"], 1);
        let labelled =
            changed(&EndpointSlice, &old, Part::Main, |new| new["metadata"]["labels"] = json!({"a": "b"}));
        assert_eq!(labelled["metadata"]["generation"], 2);
        let noted = changed(&EndpointSlice, &old, Part::Main, |new| {
            new["metadata"]["annotations"] = json!({"a": "b"});
        });
        assert_eq!(noted["metadata"]["generation"], 1);
    }

    #[test]
    fn addresses_are_of_their_type() {
        let slice = |kind: &str, address: &str| {
            faults(&EndpointSlice, json!({"addressType": kind, "endpoints": [{"addresses": [address]}]}))
        };
        assert!(slice("IPv4", "192.0.2.1").is_empty());
        assert_eq!(
            slice("IPv4", "fd00::1"),
            ["endpoints[0].addresses: Invalid value: \"fd00::1\": must be an IPv4 address"]
        );
        assert_eq!(
            slice("IPv4", "10.0.0.01"),
            ["endpoints[0].addresses[0]: Invalid value: \"10.0.0.01\": must not have leading 0s"]
        );
        assert_eq!(
            slice("IPv6", "fe80::1"),
            [
                "endpoints[0].addresses[0]: Invalid value: \"fe80::1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)"
            ]
        );
        let update = update_faults(&EndpointSlice, json!({"addressType": "IPv4"}), Part::Main, |new| {
            new["addressType"] = "IPv6".into();
        });
        assert_eq!(update, ["addressType: Invalid value: \"IPv6\": field is immutable"]);
    }

    #[test]
    fn names_and_odd_addresses_are_told() {
        let slice = |kind: &str, address: &str| json!({"metadata": {}, "addressType": kind, "endpoints": [{"addresses": [address]}]});
        let names = slice("FQDN", "a.b.c");
        assert_eq!(EndpointSlice.warnings(&names, None), ["spec.addressType: FQDN endpoints are deprecated"]);
        assert!(EndpointSlice.warnings(&names, Some(&names)).is_empty());
        let mut odd = slice("IPv6", "FD00::1");
        assert_eq!(
            EndpointSlice.warnings(&odd, Some(&odd)),
            [
                "endpoints[0].addresses[0]: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format (\"fd00::1\")"
            ]
        );
        odd["metadata"]["labels"] =
            json!({"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"});
        assert!(EndpointSlice.warnings(&odd, None).is_empty());
    }
}
