//! Issuing certificates and turning them into TLS configurations.

use std::net::IpAddr;
use std::sync::Arc;

use cox_env::Env;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use time::OffsetDateTime;

use super::{BACKDATE_DAYS, LEAF_DAYS};
use crate::error::Error;

/// What a server is called by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameOrAddress {
    /// A DNS name.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl From<&str> for NameOrAddress {
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| NameOrAddress::Name(text.to_owned()), NameOrAddress::Address)
    }
}

impl From<IpAddr> for NameOrAddress {
    fn from(address: IpAddr) -> Self {
        NameOrAddress::Address(address)
    }
}

/// A certificate and its key.
pub struct Identity {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

impl Identity {
    /// The certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The certificate.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The key as PEM (PKCS 8).
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(Error::pki("a key"))?;
        Ok(PrivateKeyDer::Pkcs8(key))
    }
}

pub(super) fn new_key() -> Result<KeyPair, Error> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(Error::pki("a key"))
}

pub(super) fn set_validity(env: &Env, params: &mut CertificateParams, seconds: i64) {
    let now =
        OffsetDateTime::from_unix_timestamp(env.now().as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now - time::Duration::days(BACKDATE_DAYS);
    params.not_after = now + time::Duration::seconds(seconds);
}

fn issue(issuer: &Issuer<'_, KeyPair>, params: &CertificateParams) -> Result<Identity, Error> {
    let key = new_key()?;
    let certificate = params.signed_by(&key, issuer).map_err(Error::pki("a certificate"))?;
    Ok(Identity {
        certificate: certificate.der().clone(),
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
    })
}

pub(super) fn server(
    env: &Env,
    issuer: &Issuer<'_, KeyPair>,
    common_name: &str,
    names: &[NameOrAddress],
) -> Result<Identity, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    for name in names {
        params.subject_alt_names.push(match name {
            NameOrAddress::Name(name) => {
                SanType::DnsName(name.as_str().try_into().map_err(Error::pki("a server's name"))?)
            }
            NameOrAddress::Address(address) => SanType::IpAddress(*address),
        });
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(env, &mut params, LEAF_DAYS * 86_400);
    issue(issuer, &params)
}

pub(super) fn client(
    env: &Env,
    issuer: &Issuer<'_, KeyPair>,
    common_name: &str,
    groups: &[&str],
) -> Result<Identity, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // The library keeps one entry an attribute type, so several groups are written by hand below.
    if let [group] = groups {
        params.distinguished_name.push(DnType::OrganizationName, *group);
    } else if !groups.is_empty() {
        return Err(Error::Pki {
            what: "a client's groups",
            source: "one organization a certificate is supported".into(),
        });
    }
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    set_validity(env, &mut params, LEAF_DAYS * 86_400);
    issue(issuer, &params)
}

pub(super) fn sign_request(
    env: &Env,
    issuer: &Issuer<'_, KeyPair>,
    request_pem: &str,
    client: bool,
    server: bool,
    seconds: i64,
) -> Result<String, Error> {
    let mut request = CertificateSigningRequestParams::from_pem(request_pem)
        .map_err(Error::pki("a certificate signing request"))?;
    set_validity(env, &mut request.params, seconds);
    request.params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    request.params.extended_key_usages = Vec::new();
    if client {
        request.params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
    }
    if server {
        request.params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
    }
    Ok(request.signed_by(issuer).map_err(Error::pki("a certificate"))?.pem())
}

fn roots(ca: &CertificateDer<'static>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).map_err(Error::pki("the authority's certificate"))?;
    Ok(roots)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(super) fn server_config(
    ca: &CertificateDer<'static>,
    identity: &Identity,
) -> Result<Arc<ServerConfig>, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider())
        .allow_unauthenticated()
        .build()
        .map_err(Error::pki("the check of client certificates"))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(Error::pki("TLS versions"))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate.clone(), ca.clone()], identity.key()?)
        .map_err(Error::pki("the serving certificate"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

pub(super) fn client_config(
    ca: &CertificateDer<'static>,
    identity: Option<&Identity>,
) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(Error::pki("TLS versions"))?
        .with_root_certificates(roots(ca)?);
    let config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(vec![identity.certificate.clone()], identity.key()?)
            .map_err(Error::pki("a client certificate"))?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}
