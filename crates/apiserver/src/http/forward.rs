//! The `proxy` subresource of pods, services and nodes: HTTP and upgrades to what they serve.
//! Source: <https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls>

use std::net::SocketAddr;
use std::sync::Arc;

use cox_api::{Request, Status, Verb};
use cox_sys::dial_error_text;
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, LOCATION, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderValue, Method, StatusCode};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::relay::{address, admit, couple, kubelet_client, read};
use super::reply::{Answered, Reply};
use super::target::ResourcePath;
use super::ticket::Ticket;
use crate::auth::{Attributes, User};
use crate::proxy::{allowed, service_endpoint, unavailable};
use crate::server::ApiServer;

/// Headers that concern one connection alone (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Where a request goes.
struct Backend {
    address: SocketAddr,
    speech: Speech,
}

/// How a backend is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Plain,
    /// TLS without a look at the certificate: whoever runs a workload has made it.
    Tls,
    /// TLS with this server's credentials.
    Kubelet,
}

impl Speech {
    /// What a name's scheme says; plain where it says nothing.
    fn of(scheme: &str) -> Speech {
        if scheme == "https" { Speech::Tls } else { Speech::Plain }
    }

    fn scheme(self) -> &'static str {
        match self {
            Speech::Plain => "http",
            Speech::Tls | Speech::Kubelet => "https",
        }
    }

    /// The port where neither the request nor the pod names one.
    fn port(self) -> u16 {
        match self {
            Speech::Plain => 80,
            Speech::Tls | Speech::Kubelet => 443,
        }
    }
}

/// Passes a request on to a pod, a pod behind a service, or a node.
pub(super) async fn answer(
    server: &Arc<ApiServer>,
    user: &User,
    target: &ResourcePath,
    ticket: &Ticket,
    request: http::Request<Incoming>,
) -> Result<Answered, Status> {
    let verb = match *request.method() {
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        Method::GET | Method::HEAD | Method::OPTIONS => Verb::Get,
        _ => return Err(Status::method_not_allowed("", &target.resource.plural, request.method().as_str())),
    };
    let asked = target.name.clone().unwrap_or_default();
    let mut call = Request::new(verb, target.resource.clone()).name(&asked).subresource("proxy");
    call.namespace.clone_from(&target.namespace);
    ticket.authorize(&Attributes::call(user, &call))?;
    let query = vec![("path".to_owned(), format!("/{}", target.rest))];
    admit(server, user, target, ticket, query).await?;
    let kind = target.resource.plural.trim_end_matches('s');
    let (scheme, name, port) =
        split(&asked).ok_or_else(|| Status::bad_request(format!("invalid {kind} request {asked:?}")))?;
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let speech = Speech::of(scheme);
    let backend = match kind {
        "pod" => Backend { address: pod(server, namespace, name, port, speech).await?, speech },
        "service" => Backend { address: service_endpoint(server, namespace, name, port)?, speech },
        _ => node(server, name, port, speech).await?,
    };
    let path = request.uri().path();
    // Without a slash, what a page refers to would be looked for beside it.
    if target.rest.is_empty()
        && !path.ends_with('/')
        && matches!(*request.method(), Method::GET | Method::HEAD)
    {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut moved = Answered::new(Reply::Whole(Bytes::new()));
        *moved.status_mut() = StatusCode::MOVED_PERMANENTLY;
        let location = HeaderValue::from_str(&format!("{path}/{query}")).map_err(Status::internal)?;
        moved.headers_mut().insert(LOCATION, location);
        return Ok(moved);
    }
    pass(server, &backend, &target.rest, ticket, request).await
}

/// `[SCHEME:]NAME[:PORT]`, or none where it is none of these.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = text.split(':').collect();
    let (scheme, name, port) = match parts.as_slice() {
        [name] => ("", *name, ""),
        [name, port] => ("", *name, *port),
        [scheme, name, port] => (*scheme, *name, *port),
        _ => return None,
    };
    (matches!(scheme, "" | "http" | "https") && !name.is_empty()).then_some((scheme, name, port))
}

fn number(port: &str) -> Result<u16, Status> {
    port.parse()
        .map_err(|_| unavailable(format!("error trying to reach service: dial tcp: unknown port tcp/{port}")))
}

async fn pod(
    server: &ApiServer,
    namespace: &str,
    name: &str,
    port: &str,
    speech: Speech,
) -> Result<SocketAddr, Status> {
    let pod = read(server, "pods", namespace, name).await?;
    let ip = pod["status"]["podIP"].as_str().unwrap_or_default();
    if ip.is_empty() {
        return Err(Status::bad_request("address not allowed"));
    }
    let port = if port.is_empty() {
        // The first port that any container names, else that of the scheme.
        let mut ports = pod["spec"]["containers"].as_array().into_iter().flatten();
        let named = ports.find_map(|container| container["ports"][0]["containerPort"].as_u64());
        named.and_then(|port| u16::try_from(port).ok()).unwrap_or(speech.port())
    } else {
        number(port)?
    };
    Ok(SocketAddr::new(allowed(ip)?, port))
}

async fn node(server: &ApiServer, name: &str, port: &str, speech: Speech) -> Result<Backend, Status> {
    let kubelet = address(server, name).await?;
    if port.is_empty() || port == kubelet.port().to_string() {
        return Ok(Backend { address: kubelet, speech: Speech::Kubelet });
    }
    let address = SocketAddr::new(allowed(&kubelet.ip().to_string())?, number(port)?);
    Ok(Backend { address, speech })
}

async fn pass(
    server: &Arc<ApiServer>,
    backend: &Backend,
    rest: &str,
    ticket: &Ticket,
    mut request: http::Request<Incoming>,
) -> Result<Answered, Status> {
    let unreachable =
        |error: &dyn std::fmt::Display| unavailable(format!("error trying to reach service: {error}"));
    let to = backend.address;
    let dialled = server.config().dialer.dial(to).await;
    let stream = dialled.map_err(|error| unreachable(&dial_error_text(to, &error)))?;
    let tls = match backend.speech {
        Speech::Plain => None,
        Speech::Tls => Some(cox_tls::trusting_client().map_err(Status::internal)?),
        Speech::Kubelet => Some(kubelet_client(server)?),
    };
    let mut sender = match tls {
        Some(tls) => {
            let name = ServerName::IpAddress(to.ip().into());
            let secured = TlsConnector::from(tls).connect(name, stream);
            // Nothing else ends this: what is proxied may last.
            let secured = tokio::time::timeout(server.config().limits.handshake_time_max, secured).await;
            let secured = secured.map_err(|_| unreachable(&"net/http: TLS handshake timeout"))?;
            speak(server, secured.map_err(|error| unreachable(&error))?).await
        }
        None => speak(server, stream).await,
    }
    .map_err(|error| unreachable(&error))?;
    let path = request.uri().path().to_owned();
    let prefix = path.strip_suffix(rest).unwrap_or(&path).trim_end_matches('/').to_owned();
    let client = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let uri = match request.uri().query() {
        Some(query) => format!("/{rest}?{query}"),
        None => format!("/{rest}"),
    };
    let (parts, body) = request.into_parts();
    let mut forwarded =
        http::Request::builder().method(parts.method).uri(uri).body(body).map_err(Status::internal)?;
    let text = |text: &str| HeaderValue::from_str(text).map_err(Status::internal);
    let headers = forwarded.headers_mut();
    copy(&parts.headers, headers, client.is_some());
    // Who called was settled here; their credentials are none of the backend's business.
    headers.remove(AUTHORIZATION);
    if let Some(host) = parts.headers.get(HOST) {
        headers.insert("x-forwarded-host", host.clone());
    }
    headers.insert(HOST, text(&to.to_string())?);
    headers.insert("x-forwarded-uri", text(&path)?);
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    let mut answer = sender.send_request(forwarded).await.map_err(|error| unreachable(&error))?;
    let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switched {
        let client =
            client.ok_or_else(|| unavailable("the backend switched protocols without being asked"))?;
        couple(server, ticket, hyper::upgrade::on(&mut answer), client);
    }
    let (parts, body) = answer.into_parts();
    let reply =
        if switched { Reply::Whole(Bytes::new()) } else { Reply::Passed(body, Some(Box::new(sender))) };
    let mut answered = Answered::new(reply);
    *answered.status_mut() = parts.status;
    copy(&parts.headers, answered.headers_mut(), switched);
    let inside =
        parts.headers.get(LOCATION).and_then(|location| location.to_str().ok()).and_then(|location| {
            let own =
                location.strip_prefix(&format!("{}://{to}", backend.speech.scheme())).unwrap_or(location);
            own.starts_with('/').then(|| format!("{prefix}{own}"))
        });
    if let Some(inside) = inside {
        answered.headers_mut().insert(LOCATION, text(&inside)?);
    }
    Ok(answered)
}

async fn speak<S>(
    server: &ApiServer,
    stream: S,
) -> hyper::Result<hyper::client::conn::http1::SendRequest<Incoming>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    server.env().spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a backend");
        }
    });
    Ok(sender)
}

/// Copies what is meant for the other end; what makes an upgrade too, where one is under way.
fn copy(from: &HeaderMap, to: &mut HeaderMap, upgrade: bool) {
    for (name, value) in from {
        let upgrades = upgrade && (name == UPGRADE || name == CONNECTION);
        if upgrades || !HOP_BY_HOP.contains(name) {
            to.append(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_scheme_and_port() {
        let cases = [
            ("web", Some(("", "web", ""))),
            ("web:80", Some(("", "web", "80"))),
            ("http:web:http", Some(("http", "web", "http"))),
            ("https:web:", Some(("https", "web", ""))),
            ("ftp:web:21", None),
            (":80", None),
            ("", None),
            ("a:b:c:d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    /// A backend that goes halfway through a chunked body must not look like one that has said all.
    #[tokio::test]
    async fn half_a_body_is_an_error() {
        use http_body_util::{BodyExt, Empty};
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let (near, mut far) = tokio::io::duplex(4096);
        let backend = async move {
            let _ = far.read(&mut [0; 1024]).await;
            let _ =
                far.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
        let ask = async {
            let request = http::Request::builder().uri("/").body(Empty::<Bytes>::new()).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            Reply::Passed(answer.into_body(), None).collect().await.map(|body| body.to_bytes())
        };
        let (_, _, body) = tokio::join!(connection, backend, ask);
        assert!(body.is_err(), "{body:?}");
    }

    #[test]
    fn connection_headers_stay() {
        let mut from = HeaderMap::new();
        for (name, value) in
            [("connection", "upgrade"), ("upgrade", "websocket"), ("te", "trailers"), ("x-a", "b")]
        {
            from.insert(name, HeaderValue::from_static(value));
        }
        let names = |upgrade| {
            let mut to = HeaderMap::new();
            copy(&from, &mut to, upgrade);
            let mut names: Vec<String> = to.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(false), ["x-a"]);
        assert_eq!(names(true), ["connection", "upgrade", "x-a"]);
    }
}
