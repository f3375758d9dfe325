//! Where a webhook is.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook>

use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::Value;

use super::super::super::text;
use super::tls;

/// Where a webhook is, and how its certificate is judged.
pub(super) struct Endpoint {
    pub target: Target,
    /// The host of the URL, which the certificate must be for.
    pub host: String,
    pub port: u16,
    /// With the query.
    pub path: String,
    /// As messages name it.
    pub url: String,
    pub tls: Result<Arc<ClientConfig>, String>,
}

/// Who serves it.
pub(super) enum Target {
    /// A host of the network.
    Host,
    /// A service of the cluster.
    Service { namespace: String, name: String },
}

impl Endpoint {
    /// Of a `clientConfig` and the time a webhook has.
    pub(super) fn of(config: &Value, seconds: u64) -> Endpoint {
        let tls = tls::client(config["caBundle"].as_str());
        let service = &config["service"];
        if service.is_object() {
            let (namespace, name) = (text(&service["namespace"]), text(&service["name"]));
            let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
            let way = text(&service["path"]);
            let slash = if way.starts_with('/') { "" } else { "/" };
            let host = format!("{name}.{namespace}.svc");
            let path = format!("{slash}{way}?timeout={seconds}s");
            let url = format!("https://{host}:{port}{path}");
            let target = Target::Service { namespace: namespace.to_owned(), name: name.to_owned() };
            return Endpoint { target, host, port, path, url, tls };
        }
        let url = text(&config["url"]);
        let rest = url.strip_prefix("https://").unwrap_or(url);
        let (authority, way) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(443)),
            _ => (authority, 443),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let slash = if way.is_empty() { "/" } else { way };
        let path = format!("{slash}?timeout={seconds}s");
        Endpoint { target: Target::Host, host, port, path, url: format!("{url}?timeout={seconds}s"), tls }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn urls_and_services() {
        let of = |config| {
            let endpoint = Endpoint::of(&config, 5);
            (endpoint.host, endpoint.port, endpoint.path, endpoint.url)
        };
        let parts = |host: &str, port, path: &str, url: &str| {
            (host.to_owned(), port, path.to_owned(), url.to_owned())
        };
        assert_eq!(
            of(json!({"url": "https://a.example:8443/x"})),
            parts("a.example", 8443, "/x?timeout=5s", "https://a.example:8443/x?timeout=5s")
        );
        assert_eq!(
            of(json!({"url": "https://[::1]"})),
            parts("::1", 443, "/?timeout=5s", "https://[::1]?timeout=5s")
        );
        assert_eq!(
            of(json!({"service": {"name": "s", "namespace": "n", "path": "/v", "port": 444}})),
            parts("s.n.svc", 444, "/v?timeout=5s", "https://s.n.svc:444/v?timeout=5s")
        );
    }
}
