//! The key of service account tokens: ES256, with the public half as a JSON Web Key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// A signing key and its public half.
pub struct TokenKey {
    id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    x: String,
    y: String,
}

impl TokenKey {
    /// Reads a P-256 key (PKCS 8, PEM).
    ///
    /// # Errors
    /// Where it is something else.
    pub fn from_pem(pem: &str) -> Result<TokenKey, Error> {
        const WHAT: &str = "the token signing key";
        let pair = KeyPair::from_pem(pem).map_err(Error::pki(WHAT))?;
        let point = pair.public_key_raw();
        // An uncompressed point: 4, then two coordinates of 32 bytes.
        if point.len() != 65 || point[0] != 4 {
            return Err(Error::Pki { what: WHAT, source: "not a P-256 key".into() });
        }
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info()));
        let signing = EncodingKey::from_ec_pem(pem.as_bytes()).map_err(Error::pki(WHAT))?;
        let verifying = DecodingKey::from_ec_components(&x, &y).map_err(Error::pki(WHAT))?;
        Ok(TokenKey { id, signing, verifying, x, y })
    }

    /// `kid`: the digest of the public key, as upstream makes it.
    pub fn key_id(&self) -> &str {
        &self.id
    }

    /// For signing.
    pub fn signing(&self) -> &EncodingKey {
        &self.signing
    }

    /// For checking.
    pub fn verifying(&self) -> &DecodingKey {
        &self.verifying
    }

    /// The key set that `/openid/v1/jwks` serves.
    pub fn jwks(&self) -> Value {
        json!({"keys": [{"use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": self.x, "y": self.y}]})
    }
}
