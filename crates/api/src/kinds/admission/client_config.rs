//! Where a webhook is: an URL, or a service of the cluster.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook>

use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kinds::common::check;
use crate::kinds::common::walk::{default_int, get, get_mut, int, text, text_ptr};
use crate::meta::names;

const FORM: &str = "; desired format: https://host[/path]";

/// Fills in the port of a service.
pub(super) fn set_defaults(hook: &mut Value) {
    if let Some(service) = get_mut(hook, "clientConfig").and_then(|config| get_mut(config, "service")) {
        default_int(service, "port", 443);
    }
}

/// Checks where a webhook is.
pub(super) fn validate(errors: &mut FieldErrors, path: &Path<'_>, config: &Value) {
    match (text_ptr(config, "url"), get(config, "service")) {
        (Some(url), None) => self::url(errors, &path.child("url"), url),
        (None, Some(service)) => self::service(errors, &path.child("service"), service),
        _ => errors.required(path, "exactly one of url or service is required"),
    }
}

fn url(errors: &mut FieldErrors, path: &Path<'_>, url: &str) {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once("://").unwrap_or(("", rest));
    if url.chars().any(|c| c.is_ascii_control() || c == ' ') {
        let detail = format!(
            "url must be a valid URL: parse {url:?}: net/url: invalid control character in URL{FORM}"
        );
        return errors.required(path, detail);
    }
    if scheme != "https" {
        check::bad_text(errors, path, scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() {
        check::bad_text(errors, path, "", format!("host must be specified{FORM}"));
    }
    for (text, what) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !text.is_empty() {
            check::bad_text(errors, path, text, what);
        }
    }
}

fn service(errors: &mut FieldErrors, path: &Path<'_>, service: &Value) {
    if text(service, "name").is_empty() {
        errors.required(&path.child("name"), "service name is required");
    }
    if text(service, "namespace").is_empty() {
        errors.required(&path.child("namespace"), "service namespace is required");
    }
    let port = int(service, "port");
    let faults = names::port_number(port);
    if !faults.is_empty() {
        let detail = format!("port is not valid: {}", faults.join(","));
        errors.invalid(&path.child("port"), &port.into(), detail);
    }
    let path = path.child("path");
    match text(service, "path") {
        "" | "/" => {}
        "//" => check::bad_text(errors, &path, "//", "segment[0] may not be empty"),
        way => {
            if !way.starts_with('/') {
                check::bad_text(errors, &path, way, "must start with a '/'");
            }
            let inside = way.get(1..).unwrap_or_default();
            for (at, segment) in inside.strip_suffix('/').unwrap_or(inside).split('/').enumerate() {
                if segment.is_empty() {
                    check::bad_text(errors, &path, way, format!("segment[{at}] may not be empty"));
                    continue;
                }
                for message in names::dns1123_subdomain(segment) {
                    check::bad_text(errors, &path, way, format!("segment[{at}]: {message}"));
                }
            }
        }
    }
}
