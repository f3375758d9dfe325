//! Bootstrap tokens: `abcdef.0123456789abcdef`, kept in a Secret of `kube-system`.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cox_env::Env;
use serde_json::Value;

use super::user::User;
use crate::db::Db;

/// Who a bootstrap token stands for; none where it isn't one or isn't good.
pub fn bootstrap_user(db: &Db, env: &Env, token: &str) -> Option<User> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if !plain(id, 6) || !plain(secret, 16) {
        return None;
    }
    let object = db.get("secrets", "kube-system", &format!("bootstrap-token-{id}"))?.value();
    if object["type"] != "bootstrap.kubernetes.io/token"
        || object["metadata"].get("deletionTimestamp").is_some()
    {
        return None;
    }
    let data = |key: &str| field(&object, key);
    if data("token-id")? != id || !constant_time_eq(data("token-secret")?.as_bytes(), secret.as_bytes()) {
        return None;
    }
    if data("usage-bootstrap-authentication")? != "true" {
        return None;
    }
    if let Some(expiration) = data("expiration") {
        let expires: jiff::Timestamp = expiration.parse().ok()?;
        if expires <= env.now() {
            return None;
        }
    }
    let extra = data("auth-extra-groups").unwrap_or_default();
    let mut groups = vec!["system:bootstrappers"];
    groups.extend(extra.split(',').map(str::trim).filter(|group| group.starts_with("system:bootstrappers:")));
    Some(User::new(&format!("system:bootstrap:{id}"), &groups))
}

fn field(secret: &Value, key: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(secret["data"][key].as_str()?).ok()?).ok()
}

/// Whether two byte strings are the same, in a time that doesn't tell where they differ.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0u8, |different, (x, y)| different | (x ^ y)) == 0
}
