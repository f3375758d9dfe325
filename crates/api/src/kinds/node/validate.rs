//! Checks of Nodes.

use serde_json::Value;

use crate::field::{FieldErrorKind, FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{list, map, text, texts};
use crate::kinds::pod::internal;
use crate::kinds::pod::quantities::quantity;
use crate::kinds::pod::resources::quantity_value;
use crate::meta::names;

/// Checks the taints. Upstream's path says metadata.
pub fn taints(object: &Value, errors: &mut FieldErrors) {
    let root = Path::new("metadata");
    let root = root.child("taints");
    let taints = list(&object["spec"], "taints");
    for (at, taint) in taints.iter().enumerate() {
        let path = root.index(at);
        check::qualified(errors, &path.child("key"), text(taint, "key"));
        let faults = names::label_value(text(taint, "value"));
        if !faults.is_empty() {
            errors.invalid(&path.child("value"), &taint["value"], faults.join(";"));
        }
        let effects = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
        check::required_one_of(errors, &path.child("effect"), text(taint, "effect"), effects);
        let same = |other: &Value| ["key", "effect"].iter().all(|key| text(other, key) == text(taint, key));
        if taints[..at].iter().any(same) {
            let shown = internal::json("Taint", taint);
            let detail = "taints must be unique by key and effect pair";
            check::push(errors, FieldErrorKind::Duplicate, &path, Some(shown), detail);
        }
    }
}

/// Checks amounts that a node has.
pub fn resources(object: &Value, errors: &mut FieldErrors) {
    for key in ["capacity", "allocatable"] {
        let path = Path::new("status");
        let path = path.child(key);
        for (name, amount) in map(&object["status"], key) {
            quantity_value(errors, &path.child(name), name, quantity(amount));
        }
    }
}

/// Checks the blocks of addresses for pods.
pub fn pod_cidrs(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    let path = path.child("podCIDRs");
    let all: Vec<&str> = texts(spec, "podCIDRs").collect();
    for (at, cidr) in all.iter().enumerate() {
        check::messages(errors, &path.index(at), cidr, names::cidr(cidr));
    }
    if all.len() > 1 {
        let v4 = all.iter().filter_map(|cidr| names::parse_cidr(cidr)).filter(|(ip, _)| ip.is_ipv4()).count();
        if all.len() > 2 || v4 != 1 {
            let detail = "may specify no more than one CIDR for each IP family";
            errors.invalid(&path, &spec["podCIDRs"], detail);
        }
        for (at, cidr) in all.iter().enumerate().filter(|(at, cidr)| all[..*at].contains(cidr)) {
            errors.duplicate(&path.index(at), &(*cidr).into());
        }
    }
}

/// Checks an update: what is given once stays.
pub fn update(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let (now, was) = (&new["spec"], &old["spec"]);
    let spec = Path::new("spec");
    let status = Path::new("status");
    let place = status.child("addresses");
    resources(new, errors);
    let addresses = list(&new["status"], "addresses");
    for (at, address) in addresses.iter().enumerate() {
        if addresses[..at].contains(address) {
            let shown = format!("{{\"Type\":{},\"Address\":{}}}", address["type"], address["address"]);
            check::push(errors, FieldErrorKind::Duplicate, &place.index(at), Some(shown), "");
        }
    }
    let (cidrs, old_cidrs) = (list(now, "podCIDRs"), list(was, "podCIDRs"));
    let changes = match old_cidrs.len() {
        0 => 0,
        count if count != cidrs.len() => 1,
        _ => cidrs.iter().zip(old_cidrs).filter(|(now, was)| now != was).count(),
    };
    for _ in 0..changes {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.forbidden(&spec.child("podCIDRs"), detail);
    }
    if !text(was, "providerID").is_empty() && text(now, "providerID") != text(was, "providerID") {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.forbidden(&spec.child("providerID"), detail);
    }
    taints(new, errors);
    if text(now, "externalID") != text(was, "externalID") {
        errors.forbidden(&spec.child("externalID"), "may not be updated");
    }
}
