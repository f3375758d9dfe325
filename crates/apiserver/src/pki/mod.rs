//! The cluster's own certificate authority and the signing key of service account tokens.
//!
//! Only the authority and the signing key are kept (in the data directory, mode 0600); certificates are issued
//! when they are needed, which takes less than a millisecond each with P-256 keys.

mod files;
mod issue;
mod kubeconfig;
mod token_key;

pub use files::{read_optional, write_private};
pub use issue::{Identity, NameOrAddress};
pub use kubeconfig::{Credentials, kubeconfig};
pub use token_key::TokenKey;

use std::path::Path;
use std::sync::Arc;

use cox_env::Env;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::Error;

/// How long the authority lasts, in days.
const CA_DAYS: i64 = 3650;
/// How long an issued certificate lasts, in days: they are issued anew at every start.
const LEAF_DAYS: i64 = 365;
/// Certificates are valid from so many days ago, for machines whose clocks disagree.
const BACKDATE_DAYS: i64 = 1;

/// The authority of a cluster. Cloning shares it.
#[derive(Clone)]
pub struct Pki(Arc<Inner>);

struct Inner {
    env: Env,
    ca_pem: String,
    ca_der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    token_key: TokenKey,
}

impl Pki {
    /// Opens the authority kept in `dir`, or makes one there.
    ///
    /// # Errors
    /// Where files can't be read or written, or hold something else than keys and certificates.
    pub fn open(env: &Env, dir: &Path) -> Result<Pki, Error> {
        let (crt, key, token) = (dir.join("ca.crt"), dir.join("ca.key"), dir.join("sa.key"));
        let io = |source| Error::Pki { what: "files", source: Box::new(source) };
        let ca_key = match read_optional(&key).map_err(io)? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(Error::pki("the authority's key"))?,
            None => {
                let made = issue::new_key()?;
                write_private(&key, made.serialize_pem().as_bytes()).map_err(io)?;
                made
            }
        };
        let ca_pem = match read_optional(&crt).map_err(io)? {
            Some(pem) => pem,
            None => {
                let pem = ca_certificate(env, &ca_key)?;
                write_private(&crt, pem.as_bytes()).map_err(io)?;
                pem
            }
        };
        let token_pem = match read_optional(&token).map_err(io)? {
            Some(pem) => pem,
            None => {
                let pem = issue::new_key()?.serialize_pem();
                write_private(&token, pem.as_bytes()).map_err(io)?;
                pem
            }
        };
        Pki::assemble(env, ca_pem, ca_key, &token_pem)
    }

    /// An authority that is gone with the process.
    ///
    /// # Errors
    /// Where the TLS library can't make keys.
    pub fn in_memory(env: &Env) -> Result<Pki, Error> {
        let ca_key = issue::new_key()?;
        let ca_pem = ca_certificate(env, &ca_key)?;
        let token_pem = issue::new_key()?.serialize_pem();
        Pki::assemble(env, ca_pem, ca_key, &token_pem)
    }

    fn assemble(env: &Env, ca_pem: String, ca_key: KeyPair, token_pem: &str) -> Result<Pki, Error> {
        let ca_der = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(Error::pki("the authority's certificate"))?;
        let issuer =
            Issuer::from_ca_cert_pem(&ca_pem, ca_key).map_err(Error::pki("the authority's certificate"))?;
        let token_key = TokenKey::from_pem(token_pem)?;
        Ok(Pki(Arc::new(Inner { env: env.clone(), ca_pem, ca_der, issuer, token_key })))
    }

    /// The authority's certificate as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.0.ca_pem
    }

    /// The authority's certificate.
    pub fn ca_der(&self) -> &CertificateDer<'static> {
        &self.0.ca_der
    }

    /// The key that signs service account tokens.
    pub fn token_key(&self) -> &TokenKey {
        &self.0.token_key
    }

    /// A certificate for a server reached by these names and addresses.
    ///
    /// # Errors
    /// Where a name can't stand in a certificate.
    pub fn server(&self, common_name: &str, names: &[NameOrAddress]) -> Result<Identity, Error> {
        issue::server(&self.0.env, &self.0.issuer, common_name, names)
    }

    /// A certificate for a client: `common_name` is the user, `groups` are the organizations.
    ///
    /// # Errors
    /// Where a name can't stand in a certificate.
    pub fn client(&self, common_name: &str, groups: &[&str]) -> Result<Identity, Error> {
        issue::client(&self.0.env, &self.0.issuer, common_name, groups)
    }

    /// The administrator: `kubernetes-admin` of `system:masters`.
    ///
    /// # Errors
    /// See [`Pki::client`].
    pub fn admin(&self) -> Result<Identity, Error> {
        self.client("kubernetes-admin", &["system:masters"])
    }

    /// A node's kubelet: `system:node:NAME` of `system:nodes`.
    ///
    /// # Errors
    /// See [`Pki::client`].
    pub fn node(&self, name: &str) -> Result<Identity, Error> {
        self.client(&format!("system:node:{name}"), &["system:nodes"])
    }

    /// Signs a certificate request (PEM) for a client, a server, or both, for so many seconds.
    ///
    /// # Errors
    /// Where the request isn't one or its signature is wrong.
    pub fn sign_request(
        &self,
        request_pem: &str,
        client: bool,
        server: bool,
        seconds: i64,
    ) -> Result<String, Error> {
        issue::sign_request(&self.0.env, &self.0.issuer, request_pem, client, server, seconds)
    }

    /// What a TLS server presents and asks of its clients: certificates of this authority are checked where a
    /// client sends one, but none is demanded. Speaks HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// Where the TLS library refuses the certificate.
    pub fn server_config(&self, identity: &Identity) -> Result<Arc<rustls::ServerConfig>, Error> {
        issue::server_config(self.ca_der(), identity)
    }

    /// What a TLS client presents, trusting this authority only.
    ///
    /// # Errors
    /// Where the TLS library refuses the certificate.
    pub fn client_config(&self, identity: Option<&Identity>) -> Result<Arc<rustls::ClientConfig>, Error> {
        issue::client_config(self.ca_der(), identity)
    }
}

fn ca_certificate(env: &Env, key: &KeyPair) -> Result<String, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "coxswain-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    issue::set_validity(env, &mut params, CA_DAYS * 86_400);
    Ok(params.self_signed(key).map_err(Error::pki("the authority's certificate"))?.pem())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_survives_a_restart_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let env = Env::real();
        let first = Pki::open(&env, dir.path()).unwrap();
        let second = Pki::open(&env, dir.path()).unwrap();
        assert_eq!(first.ca_pem(), second.ca_pem());
        assert_eq!(first.token_key().key_id(), second.token_key().key_id());
        for file in ["ca.key", "sa.key"] {
            let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_client_certificate_names_user_and_groups() {
        let pki = Pki::in_memory(&Env::real()).unwrap();
        let identity = pki.node("a").unwrap();
        let user = crate::auth::certificate_user(identity.certificate_der()).unwrap();
        assert_eq!(user.name, "system:node:a");
        assert!(user.groups.contains(&"system:nodes".to_owned()));
    }
}
