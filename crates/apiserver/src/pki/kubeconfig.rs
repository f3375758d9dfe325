//! The text of a kubeconfig file. JSON strings are YAML strings, so quoting is JSON's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Identity;

/// How a client proves who it is: by a client certificate, by a bearer token, or by either.
#[derive(Default)]
pub struct Credentials<'a> {
    /// A client certificate with its key.
    pub certificate: Option<&'a Identity>,
    /// A bearer token, for clients that can't present a certificate.
    pub token: Option<&'a str>,
}

/// A kubeconfig with one cluster, one user and one context, all called `name`.
pub fn kubeconfig(name: &str, server: &str, ca_pem: &str, credentials: &Credentials<'_>) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let mut user = String::new();
    if let Some(identity) = credentials.certificate {
        user.push_str(&format!(
            "    client-certificate-data: {}\n    client-key-data: {}\n",
            STANDARD.encode(identity.certificate_pem()),
            STANDARD.encode(identity.key_pem())
        ));
    }
    if let Some(token) = credentials.token {
        user.push_str(&format!("    token: {}\n", text(token)));
    }
    let (name, server, ca) = (text(name), text(server), STANDARD.encode(ca_pem));
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: {name}\n  cluster:\n    server: {server}\n    \
         certificate-authority-data: {ca}\nusers:\n- name: {name}\n  user:\n{user}contexts:\n- name: {name}\n  \
         context:\n    cluster: {name}\n    user: {name}\ncurrent-context: {name}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_yaml_with_the_current_context() {
        let text = kubeconfig(
            "cox",
            "https://127.0.0.1:6443",
            "PEM",
            &Credentials { token: Some("t"), ..Credentials::default() },
        );
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value["current-context"], "cox");
        assert_eq!(value["clusters"][0]["cluster"]["server"], "https://127.0.0.1:6443");
        assert_eq!(value["users"][0]["user"]["token"], "t");
    }
}
