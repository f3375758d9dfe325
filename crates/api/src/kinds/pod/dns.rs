//! Names: the pod's own, and how it resolves those of others.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{flag, get, list, text, text_ptr, texts};
use crate::meta::names;

const SERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARACTERS_MAX: usize = 2048;
const HOSTNAME_BYTES_MAX: usize = 64;

/// `spec.dnsPolicy`.
pub fn policy(errors: &mut FieldErrors, path: &Path<'_>, policy: &str) {
    let allowed = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    check::required_one_of(errors, path, policy, allowed);
}

/// `spec.dnsConfig`.
pub fn config(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let config = get(spec, "dnsConfig");
    if text(spec, "dnsPolicy") == "None" {
        let Some(config) = config else {
            return errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
        };
        if list(config, "nameservers").is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return errors.required(&path.child("nameservers"), detail);
        }
    }
    let Some(config) = config else { return };
    let place = path.child("nameservers");
    if list(config, "nameservers").len() > SERVERS_MAX {
        errors.invalid(
            &place,
            &config["nameservers"],
            format!("must not have more than {SERVERS_MAX} nameservers"),
        );
    }
    for (index, server) in texts(config, "nameservers").enumerate() {
        check::ip(errors, &place.index(index), server);
    }
    let place = path.child("searches");
    let searches = list(config, "searches").len();
    if searches > SEARCHES_MAX {
        errors.invalid(
            &place,
            &config["searches"],
            format!("must not have more than {SEARCHES_MAX} search paths"),
        );
    }
    if texts(config, "searches").map(|search| search.len() + 1).sum::<usize>() > SEARCH_CHARACTERS_MAX + 1 {
        let detail = format!(
            "must not have more than {SEARCH_CHARACTERS_MAX} characters (including spaces) in the search list"
        );
        errors.invalid(&place, &config["searches"], detail);
    }
    for (index, search) in texts(config, "searches").enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        check::messages(
            errors,
            &place.index(index),
            search,
            names::dns1123_subdomain_with_underscore(search),
        );
    }
    let place = path.child("options");
    for (index, option) in list(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            errors.required(&place.index(index), "must not be empty");
        }
    }
}

/// `spec.hostnameOverride`. KEP-4762.
pub fn hostname_override(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    let Some(name) = text_ptr(spec, "hostnameOverride") else { return };
    let path = path.child("hostnameOverride");
    for key in ["setHostnameAsFQDN", "hostNetwork"] {
        if flag(spec, key) {
            errors.forbidden(&path, format!("may not be specified when {key} is true"));
        }
    }
    if name.len() > HOSTNAME_BYTES_MAX {
        errors.too_long(&path, HOSTNAME_BYTES_MAX);
    }
    check::subdomain(errors, &path, name);
}

/// `spec.hostAliases`.
pub fn host_aliases(errors: &mut FieldErrors, path: &Path<'_>, spec: &Value) {
    for (index, alias) in list(spec, "hostAliases").iter().enumerate() {
        let path = path.index(index);
        check::ip(errors, &path.child("ip"), text(alias, "ip"));
        let path = path.child("hostnames");
        for (index, name) in texts(alias, "hostnames").enumerate() {
            check::subdomain(errors, &path.index(index), name);
        }
    }
}
