//! Checks of Services.

use serde_json::Value;

use super::carry::{has_health_port, is_external};
use super::families::{self, is_headless};
use super::warnings::{OLD_HINTS, TOPOLOGY_MODE};
use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::kinds::common::addresses::{self, PROTOCOLS};
use crate::kinds::common::check::{self, bad_text, one_of};
use crate::kinds::common::load_balancer;
use crate::kinds::common::walk::{get, int, int_ptr, list, same, text, text_ptr, texts};
use crate::kinds::pod::internal;
use crate::meta::{names, validate_labels};

/// Longest stickiness.
const AFFINITY_SECONDS_MAX: i64 = 86_400;
/// Where source ranges were before they had a field.
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const BALANCED_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";

/// Checks an object.
pub fn object(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    let (kind, ports) = (text(spec, "type"), list(spec, "ports"));
    topology(object, errors);
    if ports.is_empty() && !is_headless(object) && kind != "ExternalName" {
        errors.required(&path.child("ports"), "");
    }
    by_type(object, kind, &path, errors);
    for (at, each) in ports.iter().enumerate() {
        let place = path.child("ports");
        port(errors, &place.index(at), each, &ports[..at], ports.len() > 1);
    }
    validate_labels(&spec["selector"], &path.child("selector"), errors);
    affinity(spec, &path, errors);
    families::object(object, errors);
    for (at, ip) in texts(spec, "externalIPs").enumerate() {
        let place = path.child("externalIPs");
        let messages = names::ip(ip);
        if messages.is_empty() {
            addresses::not_special(errors, &place.index(at), ip);
        }
        check::messages(errors, &place.index(at), ip, messages);
    }
    let types = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    check::required_one_of(errors, &path.child("type"), kind, types);
    unique_ports(spec, kind, &path, errors);
    balancing(object, kind, &path, errors);
    policies(object, kind, &path, errors);
}

fn by_type(object: &Value, kind: &str, path: &Path<'_>, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(object) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            bad_text(errors, &path.child("clusterIPs").index(0), "None", detail);
        }
        "ExternalName" => {
            for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                let set =
                    get(spec, key).is_some_and(|value| value.as_array().is_none_or(|list| !list.is_empty()));
                if set {
                    errors.forbidden(&path.child(key), "may not be set for ExternalName services");
                }
            }
            let name = text(spec, "externalName");
            match name.strip_suffix('.').unwrap_or(name) {
                "" => errors.required(&path.child("externalName"), ""),
                name => check::subdomain(errors, &path.child("externalName"), name),
            }
        }
        _ => {}
    }
}

fn port(errors: &mut FieldErrors, path: &Path<'_>, port: &Value, earlier: &[Value], named: bool) {
    let name = text(port, "name");
    if !name.is_empty() {
        check::label(errors, &path.child("name"), name);
        if earlier.iter().any(|other| text(other, "name") == name) {
            errors.duplicate(&path.child("name"), &name.into());
        }
    } else if named {
        errors.required(&path.child("name"), "");
    }
    let number = |errors: &mut FieldErrors, key: &str, value: i64| {
        for message in names::port_number(value) {
            errors.invalid(&path.child(key), &value.into(), message);
        }
    };
    number(errors, "port", int(port, "port"));
    check::required_one_of(errors, &path.child("protocol"), text(port, "protocol"), PROTOCOLS);
    match &port["targetPort"] {
        Value::String(target) => {
            check::messages(errors, &path.child("targetPort"), target, names::port_name(target));
        }
        target => number(errors, "targetPort", target.as_i64().unwrap_or_default()),
    }
    if let Some(protocol) = text_ptr(port, "appProtocol") {
        check::qualified(errors, &path.child("appProtocol"), protocol);
    }
}

fn affinity(spec: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let kind = text(spec, "sessionAffinity");
    check::required_one_of(errors, &path.child("sessionAffinity"), kind, &["ClientIP", "None"]);
    let place = path.child("sessionAffinityConfig");
    let config = get(spec, "sessionAffinityConfig");
    match (kind, config) {
        ("None", Some(_)) => {
            errors.forbidden(&place, "must not be set when session affinity is None");
        }
        ("ClientIP", config) => {
            let place = place.child("clientIP");
            let place = place.child("timeoutSeconds");
            let client = config.and_then(|config| get(config, "clientIP"));
            match client.and_then(|client| int_ptr(client, "timeoutSeconds")) {
                None => errors.required(&place, "when session affinity type is ClientIP"),
                Some(1..=AFFINITY_SECONDS_MAX) => {}
                Some(seconds) => {
                    let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
                    errors.invalid(&place, &seconds.into(), detail);
                }
            }
        }
        _ => {}
    }
}

fn unique_ports(spec: &Value, kind: &str, path: &Path<'_>, errors: &mut FieldErrors) {
    let ports = list(spec, "ports");
    let path = path.child("ports");
    let same_protocol = |a: &Value, b: &Value| text(a, "protocol") == text(b, "protocol");
    for (at, port) in ports.iter().enumerate() {
        if kind == "ClusterIP" && int(port, "nodePort") != 0 {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.forbidden(&path.index(at).child("nodePort"), detail);
        }
    }
    for (at, port) in ports.iter().enumerate() {
        let number = int(port, "nodePort");
        let twice = |other: &Value| int(other, "nodePort") == number && same_protocol(other, port);
        if number != 0 && ports[..at].iter().any(twice) {
            errors.duplicate(&path.index(at).child("nodePort"), &number.into());
        }
    }
    for (at, port) in ports.iter().enumerate() {
        let twice = |other: &Value| int(other, "port") == int(port, "port") && same_protocol(other, port);
        if ports[..at].iter().any(twice) {
            let key = serde_json::json!({"protocol": port["protocol"], "port": port["port"]});
            let shown = internal::json("ServicePort", &key);
            check::push(errors, FieldErrorKind::Duplicate, &path.index(at), Some(shown), "");
        }
    }
}

fn balancing(object: &Value, kind: &str, path: &Path<'_>, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let balanced = kind == "LoadBalancer";
    let ranges: Vec<&str> = texts(spec, "loadBalancerSourceRanges").collect();
    // Upstream's path has this spelling.
    let place = path.child("LoadBalancerSourceRanges");
    if !ranges.is_empty() && !balanced {
        errors.forbidden(&place, BALANCED_ONLY);
    }
    for (at, range) in ranges.iter().enumerate() {
        // Spaces around a range come from the annotation, which was first.
        check::messages(errors, &place.index(at), range.trim(), names::cidr(range.trim()));
    }
    let annotation = text_ptr(&object["metadata"]["annotations"], SOURCE_RANGES);
    if let (true, Some(annotation)) = (ranges.is_empty(), annotation) {
        let place = Path::new("metadata.annotations");
        let place = place.key(SOURCE_RANGES);
        if !balanced {
            errors.forbidden(&place, BALANCED_ONLY);
        }
        for range in annotation.split(',').map(str::trim).filter(|_| !annotation.trim().is_empty()) {
            check::messages(errors, &place, range, names::cidr(range));
        }
    }
    let key = "allocateLoadBalancerNodePorts";
    match get(spec, key) {
        Some(_) if !balanced => errors.forbidden(&path.child(key), BALANCED_ONLY),
        None if balanced => errors.required(&path.child(key), ""),
        _ => {}
    }
    let key = "loadBalancerClass";
    match text_ptr(spec, key) {
        Some(class) if balanced => check::qualified(errors, &path.child(key), class),
        Some(_) => errors.forbidden(&path.child(key), BALANCED_ONLY),
        None => {}
    }
}

fn policies(object: &Value, kind: &str, path: &Path<'_>, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let words = &["Cluster", "Local"];
    let (place, policy) = (path.child("externalTrafficPolicy"), text(spec, "externalTrafficPolicy"));
    if is_external(object) {
        check::required_one_of(errors, &place, policy, words);
    } else if !policy.is_empty() {
        bad_text(errors, &place, policy, "may only be set for externally-accessible services");
    }
    let (place, number) = (path.child("healthCheckNodePort"), int(spec, "healthCheckNodePort"));
    if has_health_port(object) {
        if number == 0 {
            errors.required(&place, "");
        } else {
            for message in names::port_number(number) {
                errors.invalid(&place, &number.into(), message);
            }
        }
    } else if number != 0 {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.invalid(&place, &number.into(), detail);
    }
    let place = path.child("internalTrafficPolicy");
    match text_ptr(spec, "internalTrafficPolicy") {
        None if matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer") => errors.required(&place, ""),
        None => {}
        Some(policy) => one_of(errors, &place, policy, words),
    }
    if let Some(distribution) = text_ptr(spec, "trafficDistribution") {
        let known = &["PreferClose", "PreferSameZone", "PreferSameNode"];
        one_of(errors, &path.child("trafficDistribution"), distribution, known);
    }
}

/// Two annotations that say the same.
fn topology(object: &Value, errors: &mut FieldErrors) {
    let annotations = &object["metadata"]["annotations"];
    let (old, mode) = (text_ptr(annotations, OLD_HINTS), text_ptr(annotations, TOPOLOGY_MODE));
    if let (Some(old), Some(mode)) = (old, mode)
        && old != mode
    {
        let detail = format!("must match annotations[{OLD_HINTS}] when both are specified");
        bad_text(errors, &Path::new("metadata.annotations").key(TOPOLOGY_MODE), mode, detail);
    }
}

/// Checks the status: nothing but a load balancer is balanced.
pub fn status(object: &Value, errors: &mut FieldErrors) {
    let status = &object["status"]["loadBalancer"];
    let path = Path::new("status.loadBalancer");
    let all = list(status, "ingress");
    if !all.is_empty() && text(&object["spec"], "type") != "LoadBalancer" {
        errors.forbidden(&path.child("ingress"), "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    load_balancer::validate(errors, &path, status, true);
}

/// The port for questions of health stays.
pub fn health_port_stays(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let key = "healthCheckNodePort";
    if has_health_port(new) && has_health_port(old) && int(&new["spec"], key) != int(&old["spec"], key) {
        errors.forbidden(&Path::new("spec").child(key), "field is immutable");
    }
}

/// The class of a load balancer stays.
pub fn class_stays(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let balanced = |object: &Value| text(&object["spec"], "type") == "LoadBalancer";
    let key = "loadBalancerClass";
    let (now, was) = (get(&new["spec"], key), get(&old["spec"], key));
    if balanced(new) && balanced(old) && !same(now, was) {
        let path = Path::new("spec");
        errors.invalid(&path.child(key), &new["spec"][key], "may not change once set");
    }
}
