//! How the certificate of a webhook is judged: by its `caBundle`, or by the authorities this machine trusts.

use std::sync::Arc;

use base64::Engine;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};

/// Where machines keep the authorities they trust.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A client that trusts the authorities of a bundle (PEM in base64), or those of this machine where there is none.
///
/// # Errors
/// Where the bundle holds no certificate.
pub(super) fn client(bundle: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let pem = match bundle.filter(|bundle| !bundle.is_empty()) {
        Some(bundle) => base64::prelude::BASE64_STANDARD.decode(bundle).map_err(|error| error.to_string())?,
        None => SYSTEM.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default(),
    };
    for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
        // A bundle may hold what we can't use, besides what we can.
        let _ = roots.add(certificate);
    }
    if bundle.is_some() && roots.is_empty() {
        return Err("unable to load root certificates: unable to parse bytes as PEM block".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// What Go's TLS says where a handshake fails.
pub(super) fn words(error: &std::io::Error) -> String {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return error.to_string();
    };
    let Error::InvalidCertificate(fault) = error else { return error.to_string() };
    let why = match fault {
        // An authority of that name with another key is another one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate signed by unknown authority".to_owned()
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "certificate has expired or is not yet valid".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("certificate is valid for {}, not {}", presented.join(", "), expected.to_str())
        }
        other => other.to_string(),
    };
    format!("tls: failed to verify certificate: x509: {why}")
}
