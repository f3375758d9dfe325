//! The kubelet's server: logs, exec, attach, port-forward, for the API server.
//! Paths are upstream's kubelet's; only holders of a client certificate of the cluster's own components may call.

mod exec;
mod log_socket;
mod logs;
mod lookup;
mod port_forward;
mod remote_command;
mod spdy;
mod streams;
mod websocket;

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsAcceptor;

use crate::node::Node;

/// Bytes of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Connections at a time.
const CONNECTIONS_MAX: usize = 1024;

/// Where a kubelet serves.
pub struct Server {
    /// Bound, on the node's address and in its network namespace; not blocking.
    pub listener: std::net::TcpListener,
    /// With the node's serving certificate; asks for client certificates of the cluster's authority.
    pub tls: Arc<rustls::ServerConfig>,
}

/// A refusal: code and text.
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl Refusal {
    pub(crate) fn not_found(text: impl Into<String>) -> Refusal {
        Refusal(StatusCode::NOT_FOUND, text.into())
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Refusal {
        Refusal(StatusCode::BAD_REQUEST, text.into())
    }

    pub(crate) fn internal(text: impl std::fmt::Display) -> Refusal {
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, text.to_string())
    }

    fn response(self) -> Response<Body> {
        let mut response = Response::new(full(self.1));
        *response.status_mut() = self.0;
        response
    }
}

/// A body that is there as a whole.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// Serves for as long as the kubelet lives.
pub(crate) async fn serve(node: Arc<Node>, server: Server) {
    let listener = match tokio::net::TcpListener::from_std(server.listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the kubelet's server");
            return;
        }
    };
    let acceptor = TlsAcceptor::from(server.tls);
    let permits = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                node.env.sleep(std::time::Duration::from_millis(10)).await;
                continue;
            }
        };
        let (node, acceptor) = (node.clone(), acceptor.clone());
        node.clone().env.spawn(async move {
            let _permit = permit;
            let _ = stream.set_nodelay(true);
            let stream = match acceptor.accept(stream).await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%error, "TLS");
                    return;
                }
            };
            let allowed = stream
                .get_ref()
                .1
                .peer_certificates()
                .is_some_and(|chain| chain.first().is_some_and(may_call));
            let service = hyper::service::service_fn(move |request| {
                let node = node.clone();
                async move { Ok::<_, Infallible>(answer(node, request, allowed).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection");
            }
        });
    }
}

/// The API server and administrators; a node or a user with any other certificate may not look into pods.
fn may_call(certificate: &rustls::pki_types::CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return false };
    let subject = certificate.subject();
    let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        attribute.as_str().map(str::to_owned).unwrap_or_default()
    };
    subject.iter_organization().any(|organization| text(organization) == "system:masters")
}

async fn answer(node: Arc<Node>, request: Request<Incoming>, allowed: bool) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if parts == ["healthz"] {
        return Response::new(full("ok"));
    }
    if !allowed {
        return Refusal(StatusCode::UNAUTHORIZED, "Unauthorized".into()).response();
    }
    let get_or_post = matches!(*request.method(), Method::GET | Method::POST);
    let result = match parts.as_slice() {
        ["containerLogs", namespace, pod, container] if request.method() == Method::GET => {
            logs::serve(&node, namespace, pod, container, request).await
        }
        ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container] if get_or_post => {
            exec::serve(&node, (namespace, pod, container), false, request).await
        }
        ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container] if get_or_post => {
            exec::serve(&node, (namespace, pod, container), true, request).await
        }
        ["portForward", namespace, pod] | ["portForward", namespace, pod, _] if get_or_post => {
            port_forward::serve(&node, namespace, pod, request).await
        }
        _ => Err(Refusal::not_found("404 page not found\n")),
    };
    result.unwrap_or_else(Refusal::response)
}

/// The values of a query's parameters, decoded, in order.
pub(crate) fn query(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |range: std::ops::Range<usize>| u8::from_str_radix(text.get(range)?, 16).ok();
        match bytes[at] {
            b'+' => out.push(b' '),
            b'%' => match hex(at + 1..at + 3) {
                Some(byte) => {
                    out.push(byte);
                    at += 2;
                }
                None => out.push(b'%'),
            },
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn queries_are_decoded_in_order() {
        let pairs = query("command=sh&command=-c&command=echo+a%26b%zz&tty=1&x");
        let expected =
            [("command", "sh"), ("command", "-c"), ("command", "echo a&b%zz"), ("tty", "1"), ("x", "")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
