//! Checks of CertificateSigningRequests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::field::{FieldErrors, Path};
use crate::kind::Part;
use crate::kinds::common::check;
use crate::kinds::common::walk::{get, int_ptr, list, text, texts};
use crate::meta::names;

/// The shortest certificate that can be asked for.
const SECONDS_MIN: i64 = 600;
/// Usages that a certificate can have.
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// Checks the spec.
pub fn spec(object: &Value, errors: &mut FieldErrors) {
    let spec = &object["spec"];
    let path = Path::new("spec");
    if !is_request(text(spec, "request")) {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        errors.invalid(&path.child("request"), &spec["request"], detail);
    }
    let place = path.child("usages");
    let usages: Vec<&str> = texts(spec, "usages").collect();
    if usages.is_empty() {
        errors.required(&place, "");
    }
    for (at, usage) in usages.iter().enumerate() {
        check::one_of(errors, &place.index(at), usage, USAGES);
    }
    for (at, usage) in usages.iter().enumerate().filter(|(at, usage)| usages[..*at].contains(usage)) {
        errors.duplicate(&place.index(at), &(*usage).into());
    }
    // Signers of the beta version have names of their own.
    if text(spec, "signerName") != LEGACY {
        signer_name(errors, &path.child("signerName"), text(spec, "signerName"));
    }
    if let Some(seconds @ ..SECONDS_MIN) = int_ptr(spec, "expirationSeconds") {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.invalid(&path.child("expirationSeconds"), &seconds.into(), detail);
    }
}

/// The longest path of a signer: a namespace, a dot and the name of an object.
const SIGNER_PATH_BYTES_MAX: usize = names::SUBDOMAIN_BYTES_MAX + names::LABEL_BYTES_MAX + 1;
const SIGNER_BYTES_MAX: usize = names::SUBDOMAIN_BYTES_MAX + SIGNER_PATH_BYTES_MAX + 1;

/// Checks the name of a signer: a domain and a path (`example.com/signer-name`).
fn signer_name(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    let segments: Vec<&str> = name.split('/').collect();
    let [domain, rest] = segments.as_slice() else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return errors.invalid(path, &name.into(), detail);
    };
    if domain.len() > names::SUBDOMAIN_BYTES_MAX {
        errors.too_long(path, names::SUBDOMAIN_BYTES_MAX);
    }
    labels(errors, path, domain, names::dns1123_label);
    let segments = domain.split('.').count();
    if segments < 2 {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.invalid(path, &(*domain).into(), detail);
    }
    labels(errors, path, rest, names::dns1123_subdomain);
    if name.len() > SIGNER_BYTES_MAX {
        errors.too_long(path, SIGNER_BYTES_MAX);
    }
}

/// Checks the labels of a segment; of several bad ones the first is told.
fn labels(errors: &mut FieldErrors, path: &Path<'_>, segment: &str, messages: fn(&str) -> names::Messages) {
    let found = segment.split('.').map(|label| (label, messages(label))).find(|(_, found)| !found.is_empty());
    let Some((label, found)) = found else { return };
    for message in found {
        errors.invalid(path, &segment.into(), format!("validating label {label:?}: {message}"));
    }
}

/// A signer of the beta version, which v1 doesn't take new requests for.
const LEGACY: &str = "kubernetes.io/legacy-unknown";

/// Checks what only a new request must keep.
pub fn signer_of_new(object: &Value, errors: &mut FieldErrors) {
    if text(&object["spec"], "signerName") == LEGACY {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.invalid(&Path::new("spec").child("signerName"), &LEGACY.into(), detail);
    }
}

/// Checks a certificate that is new: PEM, and nothing but certificates.
pub fn certificate(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let issued = text(&new["status"], "certificate");
    if issued.is_empty() || issued == text(&old["status"], "certificate") {
        return;
    }
    let pem = STANDARD.decode(issued).unwrap_or_default();
    let pem = String::from_utf8_lossy(&pem);
    let blocks: Vec<&str> = pem
        .lines()
        .filter_map(|line| line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .filter(|kind| pem.contains(&format!("-----END {kind}-----")))
        .collect();
    let detail = match blocks.iter().find(|kind| **kind != "CERTIFICATE") {
        Some(other) => format!("only CERTIFICATE PEM blocks are allowed, found {other:?}"),
        None if blocks.is_empty() => "must contain at least one CERTIFICATE PEM block".to_owned(),
        None => return,
    };
    errors.invalid(&Path::new("status").child("certificate"), &"<certificate data>".into(), detail);
}

/// Whether the first PEM block in base64 is a request. What is inside is for the signer to judge.
fn is_request(request: &str) -> bool {
    let Ok(pem) = STANDARD.decode(request) else { return false };
    let text = String::from_utf8_lossy(&pem);
    let first = text.lines().find_map(|line| line.trim_end().strip_prefix("-----BEGIN "));
    first == Some("CERTIFICATE REQUEST-----") && text.contains("-----END CERTIFICATE REQUEST-----")
}

/// Checks the conditions.
pub fn conditions(object: &Value, errors: &mut FieldErrors) {
    let root = Path::new("status");
    let root = root.child("conditions");
    let conditions = list(&object["status"], "conditions");
    for (at, condition) in conditions.iter().enumerate() {
        let path = root.index(at);
        let (kind, status) = (text(condition, "type"), text(condition, "status"));
        check::required(errors, &path.child("type"), kind);
        match kind {
            "Approved" | "Denied" | "Failed" => {
                check::required_one_of(errors, &path.child("status"), status, &["True"]);
            }
            _ => {
                let words = &["False", "True", "Unknown"];
                check::required_one_of(errors, &path.child("status"), status, words);
            }
        }
        if conditions[..at].iter().any(|earlier| text(earlier, "type") == kind) {
            errors.duplicate(&path.child("type"), &kind.into());
        }
        let other = if kind == "Denied" { "Approved" } else { "Denied" };
        if matches!(kind, "Approved" | "Denied")
            && conditions[..at].iter().any(|earlier| text(earlier, "type") == other)
        {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.invalid(&path.child("type"), &kind.into(), detail);
        }
    }
}

/// Decisions are made by `approval` alone and never unmade; a certificate, once issued, stays.
pub fn decisions(new: &Value, old: &Value, part: Part, errors: &mut FieldErrors) {
    let root = Path::new("status");
    let of = |object: &Value, kind: &str| -> Vec<Value> {
        let all = list(&object["status"], "conditions").iter();
        all.filter(|condition| text(condition, "type") == kind).cloned().collect()
    };
    let path = root.child("conditions");
    for kind in ["Approved", "Denied", "Failed"] {
        let (now, was) = (of(new, kind), of(old, kind));
        let decision = kind != "Failed";
        if now.len() < was.len() {
            errors.forbidden(&path, format!("updates may not remove a condition of type {kind:?}"));
        } else if decision && part != Part::Sub("approval") && now.len() > was.len() {
            errors.forbidden(&path, format!("updates may not add a condition of type {kind:?}"));
        } else if decision && part != Part::Sub("approval") && now.len() == was.len() && now != was {
            errors.forbidden(&path, format!("updates may not modify a condition of type {kind:?}"));
        }
    }
    let certificate = |object: &Value| get(&object["status"], "certificate").cloned();
    let (now, was) = (certificate(new), certificate(old));
    if part == Part::Status && was.is_some() && now != was {
        let detail = "updates may not modify existing certificate content";
        errors.forbidden(&root.child("certificate"), detail);
    }
}
