//! A small HTTP client for probes and hooks: one request, one connection, certificates not checked (as upstream).

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::dial;
use cox_sys::dial_error_text;

/// How much of a body is read. Source: upstream's probe limit, 10 KiB.
const BODY_BYTES_MAX: usize = 10 * 1024;

/// Requests a path, from the network namespace `netns` where it isn't the process's own; brings the status and the beginning of the body.
pub(crate) async fn get(
    netns: Option<&Path>,
    host: &str,
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
    tls: bool,
    timeout: Duration,
) -> Result<(u16, String), String> {
    let url = format!("{}://{host}:{port}{path}", if tls { "https" } else { "http" });
    let answer = async {
        let stream = dial::tcp(netns, host, port).await;
        let stream = stream.map_err(|error| {
            format!("Get \"{url}\": {}", dial_error_text(format_args!("{host}:{port}"), &error))
        })?;
        if tls {
            let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
            let connector = tokio_rustls::TlsConnector::from(
                cox_tls::trusting_client().map_err(|error| error.to_string())?,
            );
            let stream =
                connector.connect(name, stream).await.map_err(|error| format!("Get \"{url}\": {error}"))?;
            request(stream, host, port, path, headers).await
        } else {
            request(stream, host, port, path, headers).await
        }
    };
    tokio::time::timeout(timeout, answer).await.unwrap_or_else(|_| {
        Err(format!(
            "Get \"{url}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        ))
    })
}

async fn request<S>(
    stream: S,
    host: &str,
    port: u16,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<(u16, String), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let mut request = hyper::Request::builder().method("GET").uri(path);
    let given = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    if !given("host") {
        request = request.header("Host", format!("{host}:{port}"));
    }
    if !given("user-agent") {
        request = request.header("User-Agent", "kube-probe/1.36");
    }
    if !given("accept") {
        request = request.header("Accept", "*/*");
    }
    request = request.header("Connection", "close");
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let text =
            body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
        Ok((status, text))
    };
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        ended = connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(error.to_string()),
        }
    }
}
