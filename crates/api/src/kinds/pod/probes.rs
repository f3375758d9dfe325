//! Probes and hooks of containers.

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, one_of};
use crate::kinds::common::walk::{get, int, int_ptr, list, text};
use crate::meta::names;

/// `livenessProbe`, `readinessProbe` and `startupProbe` of a container, and `lifecycle` before them.
pub fn of_container(errors: &mut FieldErrors, path: &Path<'_>, container: &Value, grace: Option<i64>) {
    if let Some(hooks) = get(container, "lifecycle") {
        let path = path.child("lifecycle");
        for key in ["postStart", "preStop"] {
            if let Some(hook) = get(hooks, key) {
                handler(errors, &path.child(key), hook, false, grace);
            }
        }
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(each) = get(container, key) else { continue };
        let path = path.child(key);
        probe(errors, &path, each, grace);
        if key == "readinessProbe" {
            if let Some(seconds) = int_ptr(each, "terminationGracePeriodSeconds") {
                let detail = "must not be set for readinessProbes";
                errors.invalid(&path.child("terminationGracePeriodSeconds"), &seconds.into(), detail);
            }
        } else if int(each, "successThreshold") != 1 {
            let number = int(each, "successThreshold");
            errors.invalid(&path.child("successThreshold"), &number.into(), "must be 1");
        }
    }
}

fn probe(errors: &mut FieldErrors, path: &Path<'_>, probe: &Value, grace: Option<i64>) {
    handler(errors, path, probe, true, grace);
    for key in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        check::field_non_negative(errors, probe, path, key);
    }
    if let Some(seconds @ ..=0) = int_ptr(probe, "terminationGracePeriodSeconds") {
        errors.invalid(
            &path.child("terminationGracePeriodSeconds"),
            &seconds.into(),
            "must be greater than 0",
        );
    }
}

/// Exactly one way to ask or act.
fn handler(errors: &mut FieldErrors, path: &Path<'_>, handler: &Value, is_probe: bool, grace: Option<i64>) {
    let last = if is_probe { "grpc" } else { "sleep" };
    let mut found = false;
    for key in ["exec", "httpGet", "tcpSocket", last] {
        let Some(action) = get(handler, key) else { continue };
        let path = path.child(key);
        if found {
            errors.forbidden(&path, "may not specify more than 1 handler type");
            continue;
        }
        found = true;
        match key {
            "exec" if list(action, "command").is_empty() => errors.required(&path.child("command"), ""),
            "exec" => {}
            "httpGet" => http(errors, &path, action),
            "sleep" => sleep(errors, &path, action, grace),
            _ => port(errors, &path.child("port"), get(action, "port")),
        }
    }
    if !found {
        errors.required(path, "must specify a handler type");
    }
}

fn http(errors: &mut FieldErrors, path: &Path<'_>, action: &Value) {
    check::required(errors, &path.child("path"), text(action, "path"));
    port(errors, &path.child("port"), get(action, "port"));
    one_of(errors, &path.child("scheme"), text(action, "scheme"), &["HTTP", "HTTPS"]);
    for header in list(action, "httpHeaders") {
        let name = text(header, "name");
        check::messages(errors, &path.child("httpHeaders"), name, names::http_header_name(name));
    }
}

fn port(errors: &mut FieldErrors, path: &Path<'_>, port: Option<&Value>) {
    if let Some(Value::String(name)) = port {
        return check::messages(errors, path, name, names::port_name(name));
    }
    let number = port.and_then(Value::as_i64).unwrap_or(0);
    for message in names::port_number(number) {
        errors.invalid(path, &number.into(), message);
    }
}

fn sleep(errors: &mut FieldErrors, path: &Path<'_>, action: &Value, grace: Option<i64>) {
    let seconds = int(action, "seconds");
    if let Some(grace) = grace
        && !(0..=grace).contains(&seconds)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.invalid(path, &seconds.into(), detail);
    }
}
