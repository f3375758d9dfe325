//! Volumes whose files come from the API: `downwardAPI` and `projected`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::volumes::{key_to_path, mode};
use super::{paths, references};
use crate::field::{FieldErrors, Path};
use crate::kinds::common::check::{self, bad_text, one_of, required};
use crate::kinds::common::label_selector;
use crate::kinds::common::walk::{get, int, int_ptr, list, text, text_ptr};

const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
const CERTIFICATE_SECONDS_MIN: i64 = 3600;
const CERTIFICATE_SECONDS_MAX: i64 = 91 * 86_400;
const CERTIFICATE_SECONDS_MAX_OURS: i64 = 86_400;
const KEY_TYPES: &[&str] = &["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

/// The `downwardAPI` source.
pub fn downward_api(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    mode(errors, path, source, "defaultMode");
    for item in list(source, "items") {
        downward_file(errors, path, item);
    }
}

fn downward_file(errors: &mut FieldErrors, path: &Path<'_>, file: &Value) {
    required(errors, &path.child("path"), text(file, "path"));
    paths::descending_not_reserved(errors, &path.child("path"), text(file, "path"));
    match (get(file, "fieldRef"), get(file, "resourceFieldRef")) {
        (Some(field), resource) => {
            references::field(errors, &path.child("fieldRef"), field, references::FILE_FIELDS);
            if resource.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                bad_text(errors, path, "resource", detail);
            }
        }
        (None, Some(resource)) => {
            references::resource(errors, &path.child("resourceFieldRef"), resource, true);
        }
        (None, None) => errors.required(path, "one of fieldRef and resourceFieldRef is required"),
    }
    mode(errors, path, file, "mode");
}

/// The `projected` source.
pub fn projected(errors: &mut FieldErrors, path: &Path<'_>, source: &Value) {
    mode(errors, path, source, "defaultMode");
    let mut taken = Taken { files: BTreeSet::new(), path };
    let sources = path.child("sources");
    for (index, each) in list(source, "sources").iter().enumerate() {
        let place = sources.index(index);
        let mut count = 0;
        for key in ["secret", "configMap"] {
            let Some(from) = get(each, key) else { continue };
            count += 1;
            let place = place.child(key);
            required(errors, &place.child("name"), text(from, "name"));
            let items = place.child("items");
            for (index, item) in list(from, "items").iter().enumerate() {
                key_to_path(errors, &items.index(index), item);
                taken.take(errors, text(item, "path"), text(from, "name"));
            }
        }
        if let Some(from) = get(each, "downwardAPI") {
            count += 1;
            for item in list(from, "items") {
                downward_file(errors, &place.child("downwardAPI"), item);
                taken.take(errors, text(item, "path"), text(item, "path"));
            }
        }
        if let Some(from) = get(each, "serviceAccountToken") {
            count += 1;
            token(errors, path, &place.child("serviceAccountToken"), from);
        }
        if let Some(from) = get(each, "clusterTrustBundle") {
            count += 1;
            let place = place.child("clusterTrustBundle");
            bundle(errors, &place, from);
            let file = text(from, "path");
            required(errors, &place.child("path"), file);
            paths::descending_not_reserved(errors, &place.child("path"), file);
            taken.take(errors, file, file);
        }
        if let Some(from) = get(each, "podCertificate") {
            count += 1;
            certificate(errors, &place.child("podCertificate"), from, &mut taken);
        }
        if count > 1 {
            errors.forbidden(&place, "may not specify more than 1 volume type per source");
        }
    }
}

/// Files that sources have named so far.
struct Taken<'a> {
    files: BTreeSet<String>,
    path: &'a Path<'a>,
}

impl Taken<'_> {
    fn take(&mut self, errors: &mut FieldErrors, file: &str, shown: &str) {
        if !file.is_empty() && !self.files.insert(file.to_owned()) {
            bad_text(errors, self.path, shown, "conflicting duplicate paths");
        }
    }
}

fn token(errors: &mut FieldErrors, volume: &Path<'_>, path: &Path<'_>, token: &Value) {
    let seconds = int(token, "expirationSeconds");
    let place = path.child("expirationSeconds");
    if seconds < TOKEN_SECONDS_MIN {
        errors.invalid(&place, &seconds.into(), "may not specify a duration less than 10 minutes");
    }
    if seconds > TOKEN_SECONDS_MAX {
        errors.invalid(&place, &seconds.into(), "may not specify a duration larger than 2^32 seconds");
    }
    let file = text(token, "path");
    // Upstream looks below the volume here, not below the token.
    required(errors, &volume.child("path"), file);
    paths::descending_not_reserved(errors, &volume.child("path"), file);
}

fn bundle(errors: &mut FieldErrors, path: &Path<'_>, bundle: &Value) {
    match (text_ptr(bundle, "name"), text_ptr(bundle, "signerName")) {
        (Some(_), Some(_)) => errors.invalid_shown(
            path,
            super::internal::json("ClusterTrustBundleProjection", bundle),
            "only one of name and signerName may be used",
        ),
        (Some(name), None) => {
            if name.is_empty() {
                errors.required(&path.child("name"), "must be a valid object name");
            }
            for message in crate::meta::names::dns1123_subdomain(name.rsplit(':').next().unwrap_or(name)) {
                bad_text(
                    errors,
                    &path.child("name"),
                    name,
                    format!("not a valid clustertrustbundlename: {message}"),
                );
            }
            if let Some(selector) = get(bundle, "labelSelector") {
                let detail = "labelSelector must be unset if name is specified";
                errors.invalid_shown(&path.child("labelSelector"), label_selector::json(selector), detail);
            }
        }
        (None, Some(signer)) => {
            if signer.is_empty() {
                errors.required(&path.child("signerName"), "must be a valid signer name");
            }
            signer_name(errors, &path.child("signerName"), signer);
            let place = path.child("labelSelector");
            label_selector::validate(get(bundle, "labelSelector"), false, &place, errors);
        }
        (None, None) => errors.required(path, "either name or signerName must be specified"),
    }
}

fn certificate(errors: &mut FieldErrors, path: &Path<'_>, certificate: &Value, taken: &mut Taken<'_>) {
    let signer = text(certificate, "signerName");
    signer_name(errors, &path.child("signerName"), signer);
    one_of(errors, &path.child("keyType"), text(certificate, "keyType"), KEY_TYPES);
    if let Some(seconds) = int_ptr(certificate, "maxExpirationSeconds") {
        let ours = signer.split('/').next().is_some_and(|domain| domain.ends_with("kubernetes.io"));
        let most = if ours { CERTIFICATE_SECONDS_MAX_OURS } else { CERTIFICATE_SECONDS_MAX };
        let place = path.child("maxExpirationSeconds");
        if seconds < CERTIFICATE_SECONDS_MIN {
            let detail = "if provided, maxExpirationSeconds must be >= 3600";
            errors.invalid(&place, &seconds.into(), detail);
        }
        if seconds > most {
            let detail = format!("if provided, maxExpirationSeconds must be <= {most}");
            errors.invalid(&place, &seconds.into(), detail);
        }
    }
    let mut any = false;
    for key in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
        let file = text(certificate, key);
        if !file.is_empty() {
            any = true;
            paths::descending_not_reserved(errors, &path.child(key), file);
            taken.take(errors, file, file);
        }
    }
    if !any {
        errors.required(
            path,
            "specify at least one of credentialBundlePath, keyPath, and certificateChainPath",
        );
    }
}

fn signer_name(errors: &mut FieldErrors, path: &Path<'_>, name: &str) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return bad_text(errors, path, name, detail);
    };
    if domain.split('.').count() < 2 {
        bad_text(errors, path, name, "should be a domain with at least two segments separated by dots");
    }
    check::subdomain(errors, path, domain);
    if rest.is_empty() {
        bad_text(
            errors,
            path,
            name,
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
        );
    }
}
