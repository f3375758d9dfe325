//! Service account tokens: signed by the cluster's own key, bound to an account and maybe to a pod, a secret or
//! a node, good for an audience and a time.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>

use std::collections::BTreeMap;
use std::sync::Arc;

use cox_env::Env;
use jsonwebtoken::{Algorithm, Header, Validation};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::user::User;
use crate::db::Db;
use crate::pki::Pki;

/// Tokens whose signature was found good, so that it isn't checked at every request.
const VERIFIED_MAX: usize = 4096;

/// A pod may use its token so long after its deletion timestamp, in seconds.
const DELETED_GRACE_SECONDS: i64 = 60;

const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// A name and the uid that it had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Reference {
    pub name: String,
    pub uid: String,
}

/// The claims that are Kubernetes' own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Bound {
    pub namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serviceaccount: Option<Reference>,
    /// Seconds since 1970 from which the use of an extended token is worth a warning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<i64>,
}

/// The claims of a token. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Claims {
    pub aud: Vec<String>,
    pub exp: i64,
    pub iat: i64,
    pub iss: String,
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub bound: Bound,
    pub nbf: i64,
    pub sub: String,
}

/// Signs and checks tokens.
pub struct Tokens {
    env: Env,
    db: Db,
    pki: Pki,
    issuer: String,
    audiences: Vec<String>,
    verified: Mutex<BTreeMap<[u8; 32], Arc<Claims>>>,
}

/// What a token says, where it is good.
pub struct Verified {
    /// Who has it.
    pub user: User,
    /// Of the audiences asked for, those that the token is for.
    pub audiences: Vec<String>,
}

impl Tokens {
    /// Tokens of an issuer; `audiences` are those of this API server.
    pub fn new(env: Env, db: Db, pki: Pki, issuer: String, audiences: Vec<String>) -> Tokens {
        Tokens { env, db, pki, issuer, audiences, verified: Mutex::default() }
    }

    /// The audiences of this API server.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// A signed token for an account. `node` is that of the pod that it is bound to.
    ///
    /// # Errors
    /// Where the signing library refuses.
    pub fn issue(
        &self,
        account: (&str, Reference),
        bound: Bound,
        audiences: Vec<String>,
        seconds: i64,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let now = self.env.now().as_second();
        let (namespace, account) = account;
        let claims = Claims {
            aud: audiences,
            exp: now + seconds,
            iat: now,
            iss: self.issuer.clone(),
            jti: self.env.chance().uid(),
            sub: format!("system:serviceaccount:{namespace}:{}", account.name),
            bound: Bound { namespace: namespace.to_owned(), serviceaccount: Some(account), ..bound },
            nbf: now,
        };
        let key = self.pki.token_key();
        let mut header = Header::new(Algorithm::ES256);
        header.typ = None;
        header.kid = Some(key.key_id().to_owned());
        jsonwebtoken::encode(&header, &claims, key.signing())
    }

    /// Who a token stands for; none where it isn't one of ours at all, an error where it isn't good any more.
    /// `audiences` are those wanted; none for those of this API server.
    pub fn verify(&self, token: &str, audiences: Option<&[String]>) -> Result<Option<Verified>, String> {
        let Some(claims) = self.claims(token)? else { return Ok(None) };
        let now = self.env.now().as_second();
        if claims.exp <= now {
            return Err("service account token has expired".into());
        }
        if claims.nbf > now + 1 {
            return Err("service account token is not valid yet".into());
        }
        let wanted = audiences.unwrap_or(&self.audiences);
        let audiences: Vec<String> =
            wanted.iter().filter(|word| claims.aud.contains(word)).cloned().collect();
        if audiences.is_empty() {
            // As Go shows lists.
            let list = |words: &[String]| {
                let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                format!("[{}]", quoted.join(" "))
            };
            return Err(format!(
                "token audiences {} is invalid for the target audiences {}",
                list(&claims.aud),
                list(wanted)
            ));
        }
        let user = self.user(&claims, now)?;
        Ok(Some(Verified { user, audiences }))
    }

    fn claims(&self, token: &str) -> Result<Option<Arc<Claims>>, String> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(known) = self.verified.lock().get(&digest) {
            return Ok(Some(known.clone()));
        }
        let key = self.pki.token_key();
        let Ok(header) = jsonwebtoken::decode_header(token) else { return Ok(None) };
        if header.alg != Algorithm::ES256 || header.kid.as_deref().is_some_and(|kid| kid != key.key_id()) {
            return Ok(None);
        }
        let mut validation = Validation::new(Algorithm::ES256);
        // Times are checked against the clock that was handed in, audiences by the caller's wish.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        let decoded = jsonwebtoken::decode::<Claims>(token, key.verifying(), &validation)
            .map_err(|_| "invalid bearer token".to_owned())?;
        let claims = Arc::new(decoded.claims);
        let mut verified = self.verified.lock();
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(digest, claims.clone());
        Ok(Some(claims))
    }

    /// Checks that everything the token is bound to is still there, and says who has it.
    fn user(&self, claims: &Claims, now: i64) -> Result<User, String> {
        let bound = &claims.bound;
        let namespace = bound.namespace.as_str();
        let account = bound.serviceaccount.as_ref().ok_or("token without a service account")?;
        let check = |prefix: &str, what: &str, namespace: &str, reference: &Reference| {
            let object = self
                .db
                .get(prefix, namespace, &reference.name)
                .filter(|object| object.uid() == reference.uid)
                .ok_or_else(|| format!("{what} has been invalidated"))?;
            let deleted = object.value()["metadata"]["deletionTimestamp"]
                .as_str()
                .and_then(|time| time.parse::<jiff::Timestamp>().ok());
            match deleted {
                Some(time) if time.as_second() + DELETED_GRACE_SECONDS < now => {
                    Err(format!("{what} has been deleted"))
                }
                _ => Ok(()),
            }
        };
        check("serviceaccounts", "service account token", namespace, account)?;
        let mut user = User::service_account(namespace, &account.name, &account.uid);
        let mut note = |key: &str, value: &str| {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
        };
        if let Some(pod) = &bound.pod {
            check("pods", "service account token", namespace, pod)?;
            note("pod-name", &pod.name);
            note("pod-uid", &pod.uid);
        }
        if let Some(secret) = &bound.secret {
            check("secrets", "service account token", namespace, secret)?;
        }
        if let Some(node) = &bound.node {
            if bound.pod.is_none() {
                check("minions", "service account token", "", node)?;
            }
            note("node-name", &node.name);
            note("node-uid", &node.uid);
        }
        user.extra.insert(CREDENTIAL_ID.into(), vec![format!("JTI={}", claims.jti)]);
        Ok(user)
    }
}
