//! Checks of NetworkPolicies.

use serde_json::Value;

use super::DIRECTIONS;
use crate::field::{FieldErrors, Path};
use crate::kinds::common::walk::{get, int_ptr, list, text, text_ptr, texts};
use crate::kinds::common::{check, label_selector};
use crate::meta::names;

/// The two directions.
const TYPES: [&str; 2] = ["Ingress", "Egress"];

/// Checks the spec.
pub fn spec(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    label_selector::validate(get(spec, "podSelector"), false, &path.child("podSelector"), errors);
    for (rules, peers) in DIRECTIONS {
        let path = path.child(rules);
        for (at, rule) in list(spec, rules).iter().enumerate() {
            let path = path.index(at);
            for (at, each) in list(rule, "ports").iter().enumerate() {
                port(errors, &path.child("ports").index(at), each);
            }
            for (at, each) in list(rule, peers).iter().enumerate() {
                peer(errors, &path.child(peers).index(at), each);
            }
        }
    }
    let path = path.child("policyTypes");
    if list(spec, "policyTypes").len() > TYPES.len() {
        return errors.invalid(&path, &spec["policyTypes"], "may not specify more than two policyTypes");
    }
    for (at, word) in texts(spec, "policyTypes").enumerate() {
        check::one_of(errors, &path.index(at), word, &TYPES);
    }
}

fn port(errors: &mut FieldErrors, path: &Path<'_>, each: &Value) {
    if let Some(protocol) = text_ptr(each, "protocol") {
        check::one_of(errors, &path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    let (place, end_place) = (path.child("port"), path.child("endPort"));
    let end = int_ptr(each, "endPort");
    match get(each, "port") {
        None => {
            if let Some(end) = end {
                errors.invalid(&end_place, &end.into(), "may not be specified when `port` is not specified");
            }
        }
        Some(Value::String(name)) => {
            if let Some(end) = end {
                errors.invalid(&end_place, &end.into(), "may not be specified when `port` is non-numeric");
            }
            check::messages(errors, &place, name, names::port_name(name));
        }
        Some(number) => {
            let start = number.as_i64().unwrap_or_default();
            for message in names::port_number(start) {
                errors.invalid(&place, number, message);
            }
            let Some(end) = end else { return };
            if end < start {
                // The value shown is that of `port`, as upstream's answer has it.
                errors.invalid(&end_place, number, "must be greater than or equal to `port`");
            }
            for message in names::port_number(end) {
                errors.invalid(&end_place, &end.into(), message);
            }
        }
    }
}

fn peer(errors: &mut FieldErrors, path: &Path<'_>, peer: &Value) {
    for field in ["podSelector", "namespaceSelector"] {
        label_selector::validate(get(peer, field), false, &path.child(field), errors);
    }
    let selects = get(peer, "podSelector").is_some() || get(peer, "namespaceSelector").is_some();
    match get(peer, "ipBlock") {
        None if !selects => errors.required(path, "must specify a peer"),
        None => {}
        Some(each) => {
            block(errors, &path.child("ipBlock"), each);
            if selects {
                errors.forbidden(path, "may not specify both ipBlock and another peer");
            }
        }
    }
}

fn block(errors: &mut FieldErrors, path: &Path<'_>, block: &Value) {
    let cidr = text(block, "cidr");
    if cidr.is_empty() {
        return errors.required(&path.child("cidr"), "");
    }
    check::messages(errors, &path.child("cidr"), cidr, names::cidr(cidr));
    let Some((address, bits)) = names::parse_cidr(cidr) else { return };
    for (at, text) in texts(block, "except").enumerate() {
        let path = path.child("except");
        let path = path.index(at);
        check::messages(errors, &path, text, names::cidr(text));
        let Some((inner, inner_bits)) = names::parse_cidr(text) else { continue };
        let within = inner.is_ipv4() == address.is_ipv4()
            && names::network(inner, bits) == names::network(address, bits);
        if !within || bits >= inner_bits {
            check::bad_text(errors, &path, text, "must be a strict subset of `cidr`");
        }
    }
}
