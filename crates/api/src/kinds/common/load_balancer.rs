//! Addresses of load balancers.

use serde_json::Value;

use super::check;
use super::walk::{list, text, text_ptr};
use crate::field::{FieldErrors, Path};
use crate::meta::names;

/// Addresses, or else host names, each once and sorted, joined by commas.
pub fn addresses(status: &Value) -> String {
    let mut all: Vec<&str> = list(status, "ingress")
        .iter()
        .map(|each| match text(each, "ip") {
            "" => text(each, "hostname"),
            ip => ip,
        })
        .filter(|each| !each.is_empty())
        .collect();
    all.sort_unstable();
    all.dedup();
    all.join(",")
}

/// Checks the status of a load balancer; that of a Service has a mode for each address.
pub fn validate(errors: &mut FieldErrors, path: &Path<'_>, status: &Value, with_mode: bool) {
    for (at, each) in list(status, "ingress").iter().enumerate() {
        let path = path.child("ingress");
        let path = path.index(at);
        let (ip, host) = (text(each, "ip"), text(each, "hostname"));
        if !ip.is_empty() {
            check::ip(errors, &path.child("ip"), ip);
        }
        let place = path.child("ipMode");
        match text_ptr(each, "ipMode").filter(|_| with_mode) {
            None if with_mode && !ip.is_empty() => {
                errors.required(&place, "must be specified when `ip` is set")
            }
            None => {}
            Some(_) if ip.is_empty() => errors.forbidden(&place, "may not be specified when `ip` is not set"),
            Some(mode) => check::one_of(errors, &place, mode, &["Proxy", "VIP"]),
        }
        if !host.is_empty() {
            check::subdomain(errors, &path.child("hostname"), host);
            if names::parse_ip(host).is_some() {
                let detail = "must be a DNS name, not an IP address";
                check::bad_text(errors, &path.child("hostname"), host, detail);
            }
        }
    }
}
