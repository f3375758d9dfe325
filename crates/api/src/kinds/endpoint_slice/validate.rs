//! Checks of EndpointSlices.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::addresses;
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::walk::{get, list, map, text, text_ptr};
use crate::meta::{names, validate_labels};

/// Bounds of a slice.
const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const TOPOLOGY_LABELS_MAX: usize = 16;
const HINTS_MAX: usize = 8;

/// Checks an object.
pub fn object(object: &Value, errors: &mut FieldErrors) {
    let kind = text(object, "addressType");
    let path = Path::new("addressType");
    check::required_one_of(errors, &path, kind, &["FQDN", "IPv4", "IPv6"]);
    let path = Path::new("endpoints");
    let endpoints = list(object, "endpoints");
    if endpoints.len() > ENDPOINTS_MAX {
        errors.too_many(&path, endpoints.len(), ENDPOINTS_MAX);
    } else {
        for (at, each) in endpoints.iter().enumerate() {
            endpoint(errors, &path.index(at), each, kind);
        }
    }
    ports(object, errors);
}

fn endpoint(errors: &mut FieldErrors, path: &Path<'_>, endpoint: &Value, kind: &str) {
    let place = path.child("addresses");
    let all = list(endpoint, "addresses");
    if all.is_empty() {
        errors.required(&place, "must contain at least 1 address");
    } else if all.len() > ADDRESSES_MAX {
        errors.too_many(&place, all.len(), ADDRESSES_MAX);
    }
    for (at, address) in all.iter().filter_map(Value::as_str).enumerate() {
        match kind {
            "IPv4" | "IPv6" => {
                let messages = names::ip(address);
                if messages.is_empty() {
                    if names::parse_ip(address).is_some_and(|ip| ip.is_ipv4() != (kind == "IPv4")) {
                        bad_text(errors, &place, address, format!("must be an {kind} address"));
                    }
                    addresses::not_special(errors, &place.index(at), address);
                }
                check::messages(errors, &place.index(at), address, messages);
            }
            "FQDN" => {
                check::messages(errors, &place.index(at), address, names::fully_qualified_name(address));
            }
            _ => {}
        }
    }
    if let Some(node) = text_ptr(endpoint, "nodeName") {
        check::subdomain(errors, &path.child("nodeName"), node);
    }
    let place = path.child("deprecatedTopology");
    let topology = map(endpoint, "deprecatedTopology");
    if topology.len() > TOPOLOGY_LABELS_MAX {
        errors.too_many(&place, topology.len(), TOPOLOGY_LABELS_MAX);
    }
    validate_labels(&endpoint["deprecatedTopology"], &place, errors);
    if let Some(host) = text_ptr(endpoint, "hostname") {
        check::label(errors, &path.child("hostname"), host);
    }
    let Some(hints) = get(endpoint, "hints") else { return };
    let path = path.child("hints");
    for key in ["forZones", "forNodes"] {
        let path = path.child(key);
        let all = list(hints, key);
        if all.len() > HINTS_MAX {
            errors.too_many(&path, all.len(), HINTS_MAX);
            continue;
        }
        for (at, hint) in all.iter().enumerate() {
            let path = path.index(at);
            let name = text(hint, "name");
            if all[..at].iter().any(|earlier| text(earlier, "name") == name) {
                errors.duplicate(&path.child("name"), &name.into());
            }
            if key == "forZones" {
                check::messages(errors, &path.child("name"), name, names::label_value(name));
            } else {
                check::subdomain(errors, &path.child("name"), name);
            }
        }
    }
}

fn ports(object: &Value, errors: &mut FieldErrors) {
    let path = Path::new("ports");
    let all = list(object, "ports");
    if all.len() > PORTS_MAX {
        errors.too_many(&path, all.len(), PORTS_MAX);
        return;
    }
    for (at, port) in all.iter().enumerate() {
        let path = path.index(at);
        let name = text(port, "name");
        if !name.is_empty() {
            check::label(errors, &path.child("name"), name);
        }
        if all[..at].iter().any(|earlier| text(earlier, "name") == name) {
            errors.duplicate(&path.child("name"), &name.into());
        }
        check::required_one_of(errors, &path.child("protocol"), text(port, "protocol"), addresses::PROTOCOLS);
        if let Some(protocol) = text_ptr(port, "appProtocol") {
            check::qualified(errors, &path.child("appProtocol"), protocol);
        }
    }
}
