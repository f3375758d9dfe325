//! Checks of Ingresses.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text};
use crate::kinds::common::typed_reference;
use crate::kinds::common::walk::{get, int, list, text, text_ptr};
use crate::meta::names;

/// Checks the spec.
pub fn spec(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    let rules = list(spec, "rules");
    if rules.is_empty() && get(spec, "defaultBackend").is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.invalid(&path, &spec["rules"], detail);
    }
    if let Some(default) = get(spec, "defaultBackend") {
        backend(errors, &path.child("defaultBackend"), default);
    }
    for (at, each) in rules.iter().enumerate() {
        rule(errors, &path.child("rules").index(at), each);
    }
    for (at, each) in list(spec, "tls").iter().enumerate() {
        let path = path.child("tls");
        let path = path.index(at);
        for (at, host) in list(each, "hosts").iter().filter_map(Value::as_str).enumerate() {
            host_name(errors, &path.child("hosts").index(at), host);
        }
        let secret = text(each, "secretName");
        if !secret.is_empty() {
            check::subdomain(errors, &path.child("secretName"), secret);
        }
    }
    if let Some(class) = text_ptr(spec, "ingressClassName") {
        check::subdomain(errors, &path.child("ingressClassName"), class);
    }
}

/// The older annotation says nothing else than the field.
pub fn class_annotation(object: &Value, errors: &mut FieldErrors) {
    let key = "kubernetes.io/ingress.class";
    let annotation = text_ptr(&object["metadata"]["annotations"], key);
    if let (Some(annotation), Some(class)) = (annotation, text_ptr(&object["spec"], "ingressClassName"))
        && annotation != class
    {
        let detail = "must match `ingressClassName` when both are specified";
        bad_text(errors, &Path::new("annotations").child(key), annotation, detail);
    }
}

fn host_name(errors: &mut FieldErrors, path: &Path<'_>, host: &str) {
    let messages = if host.contains('*') {
        names::wildcard_dns1123_subdomain(host)
    } else {
        names::dns1123_subdomain(host)
    };
    check::messages(errors, path, host, messages);
}

fn rule(errors: &mut FieldErrors, path: &Path<'_>, rule: &Value) {
    let host = text(rule, "host");
    if !host.is_empty() {
        let path = path.child("host");
        if names::parse_ip(host).is_some() {
            bad_text(errors, &path, host, "must be a DNS name, not an IP address");
        }
        host_name(errors, &path, host);
    }
    let Some(http) = get(rule, "http") else { return };
    let path = path.child("http");
    let path = path.child("paths");
    if list(http, "paths").is_empty() {
        errors.required(&path, "");
    }
    for (at, each) in list(http, "paths").iter().enumerate() {
        http_path(errors, &path.index(at), each);
    }
}

fn http_path(errors: &mut FieldErrors, path: &Path<'_>, each: &Value) {
    let given = text(each, "path");
    let place = path.child("path");
    let absolute = |errors: &mut FieldErrors| {
        if !given.starts_with('/') {
            bad_text(errors, &place, given, "must be an absolute path");
        }
    };
    match text_ptr(each, "pathType") {
        None => return errors.required(&path.child("pathType"), "pathType must be specified"),
        Some("Exact" | "Prefix") => {
            absolute(errors);
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if given.contains(part) {
                    bad_text(errors, &place, given, format!("must not contain '{part}'"));
                }
            }
            for end in ["/..", "/."] {
                if given.ends_with(end) {
                    bad_text(errors, &place, given, format!("cannot end with '{end}'"));
                }
            }
        }
        Some("ImplementationSpecific") => {
            if !given.is_empty() {
                absolute(errors);
            }
        }
        Some(other) => {
            let supported = &["Exact", "ImplementationSpecific", "Prefix"];
            errors.not_supported(&path.child("pathType"), &other.into(), supported);
        }
    }
    backend(errors, &path.child("backend"), &each["backend"]);
}

fn backend(errors: &mut FieldErrors, path: &Path<'_>, backend: &Value) {
    match (get(backend, "resource"), get(backend, "service")) {
        (Some(_), Some(_)) => bad_text(errors, path, "", "cannot set both resource and service backends"),
        (Some(resource), None) => typed_reference::check(errors, &path.child("resource"), resource),
        (None, None) => bad_text(errors, path, "", "resource or service backend is required"),
        (None, Some(service)) => {
            let place = path.child("service");
            match text(service, "name") {
                "" => errors.required(&place.child("name"), ""),
                name => check::label(errors, &place.child("name"), name),
            }
            let port = &service["port"];
            let place = place.child("port");
            match (text(port, "name"), int(port, "number")) {
                ("", 0) => errors.required(path, "port name or number is required"),
                ("", number) => {
                    for message in names::port_number(number) {
                        errors.invalid(&place.child("number"), &number.into(), message);
                    }
                }
                (name, 0) => check::messages(errors, &place.child("name"), name, names::port_name(name)),
                _ => bad_text(errors, path, "", "cannot set both port name & port number"),
            }
        }
    }
}
