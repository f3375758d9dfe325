//! Addresses of a Service in the cluster, and their IP families.

use std::net::IpAddr;

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::walk::{list, text, text_ptr, texts};
use crate::meta::names;

/// The word for no address.
const NONE: &str = "None";

/// Whether the Service has no address by its own wish.
pub fn is_headless(object: &Value) -> bool {
    matches!(list(&object["spec"], "clusterIPs"), [only] if only == NONE)
}

/// Checks addresses and families. Upstream checks this once before it allocates, and again with all the rest.
pub fn object(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let path = Path::new("spec");
    let place = path.child("clusterIPs");
    let before = errors.0.len();
    let address = text(spec, "clusterIP");
    let all: Vec<&str> = texts(spec, "clusterIPs").collect();
    match (address, all.first()) {
        ("", Some(_)) => {
            errors.invalid(&place, &spec["clusterIPs"], "must be empty when `clusterIP` is not specified");
        }
        ("", None) => {}
        (_, None) => errors.required(&place, ""),
        (address, Some(first)) if address != *first => {
            errors.invalid(&place, &spec["clusterIPs"], "first value must match `clusterIP`");
        }
        _ => {}
    }
    families(spec, &path, errors);
    let mut faulty = false;
    for (at, address) in all.iter().enumerate() {
        if at == 0 && *address == NONE {
            if all.len() > 1 {
                faulty = true;
                errors.invalid(&place, &spec["clusterIPs"], "'None' must be the first and only value");
            }
            continue;
        }
        let messages = names::ip(address);
        faulty |= !messages.is_empty();
        check::messages(errors, &place.index(at), address, messages);
    }
    if all.len() > 2 {
        errors.invalid(&place, &spec["clusterIPs"], "may only hold up to 2 values");
    }
    if faulty {
        return;
    }
    let ips: Vec<IpAddr> = all.iter().filter_map(|address| names::parse_ip(address)).collect();
    if all.len() > 1 {
        let v4 = ips.iter().filter(|ip| ip.is_ipv4()).count();
        if v4 == 0 || v4 == ips.len() {
            let detail = "may specify no more than one IP for each IP family";
            errors.invalid(&place, &spec["clusterIPs"], detail);
        }
    }
    if is_headless(object) || errors.0.len() > before {
        return;
    }
    for (at, (ip, family)) in ips.iter().zip(texts(spec, "ipFamilies")).enumerate() {
        if ip.is_ipv4() != (family == "IPv4") {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{at}]`");
            bad_text(errors, &place.index(at), all[at], detail);
        }
    }
}

fn families(spec: &Value, path: &Path<'_>, errors: &mut FieldErrors) {
    let place = path.child("ipFamilies");
    let all: Vec<&str> = texts(spec, "ipFamilies").collect();
    for (at, family) in all.iter().enumerate() {
        check::one_of(errors, &place.index(at), family, &["IPv4", "IPv6"]);
        if all[..at].contains(family) {
            errors.duplicate(&place.index(at), &(*family).into());
        }
    }
    if let Some(policy) = text_ptr(spec, "ipFamilyPolicy") {
        let policies = &["PreferDualStack", "RequireDualStack", "SingleStack"];
        check::one_of(errors, &path.child("ipFamilyPolicy"), policy, policies);
    }
}

/// Checks what an update does to addresses and families: the first stays, a second may come and go.
pub fn update(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let named = |object: &Value| text(&object["spec"], "type") == "ExternalName";
    if named(new) || named(old) || (is_headless(new) && is_headless(old)) {
        return;
    }
    let single = text(&new["spec"], "ipFamilyPolicy") == "SingleStack";
    let root = Path::new("spec");
    for (key, primary, secondary) in [
        ("clusterIPs", "primary clusterIP can not be unset", "clusterIP"),
        ("ipFamilies", "primary ipFamily can not be unset", "ipFamily"),
    ] {
        let (now, was) = (list(&new["spec"], key), list(&old["spec"], key));
        let place = root.child(key);
        let mut changed = |at: usize, detail: &str| {
            errors.invalid(&place.index(at), &new["spec"][key], detail);
        };
        if now.len() == was.len() {
            // Families of the same number are checked by their addresses.
            for (at, _) in was.iter().enumerate().filter(|(at, old)| key == "clusterIPs" && now[*at] != **old)
            {
                changed(at, "may not change once set");
            }
            continue;
        }
        if now.is_empty() {
            changed(0, primary);
        } else if was.first().is_some_and(|old| *old != now[0]) {
            changed(0, "may not change once set");
        }
        if now.len() < was.len() && now.len() == 1 && !single {
            let detail = format!("must be set to 'SingleStack' when releasing the secondary {secondary}");
            errors.invalid(&root.child("ipFamilyPolicy"), &new["spec"]["ipFamilyPolicy"], detail);
        }
    }
}
