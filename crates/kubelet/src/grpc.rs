//! The gRPC health check, as far as probes need it: one unary call of `grpc.health.v1.Health/Check`.
//! Source: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::dial;

/// Whether the service at this address says that it is serving; asked from the network namespace `netns` where it
/// isn't the process's own.
pub(crate) async fn check(
    netns: Option<&Path>,
    host: &str,
    port: u16,
    service: &str,
    timeout: Duration,
) -> Result<(), String> {
    let call = async {
        let stream = dial::tcp(netns, host, port).await.map_err(|error| {
            format!(
                "timeout: failed to connect service \"{host}:{port}\" within {}s: {error}",
                timeout.as_secs()
            )
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .map_err(|error| error.to_string())?;
        let request = hyper::Request::builder()
            .method("POST")
            .uri(format!("http://{host}:{port}/grpc.health.v1.Health/Check"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "kube-probe/1.36")
            .body(Full::new(Bytes::from(frame(service))))
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let failed = |headers: &hyper::HeaderMap| {
                let code =
                    headers.get("grpc-status").and_then(|code| code.to_str().ok()).unwrap_or("0").to_owned();
                let text = headers
                    .get("grpc-message")
                    .and_then(|text| text.to_str().ok())
                    .unwrap_or_default()
                    .to_owned();
                (code != "0").then(|| {
                    format!("error: health rpc probe failed: rpc error: code = {code} desc = {text}")
                })
            };
            if let Some(error) = failed(response.headers()) {
                return Err(error);
            }
            let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
            if let Some(error) = body.trailers().and_then(failed) {
                return Err(error);
            }
            match status(&body.to_bytes()) {
                Some(1) => Ok(()),
                Some(2) => Err("service unhealthy (responded with \"NOT_SERVING\")".to_owned()),
                Some(3) => Err("service unhealthy (responded with \"SERVICE_UNKNOWN\")".to_owned()),
                _ => Err("service unhealthy (responded with \"UNKNOWN\")".to_owned()),
            }
        };
        tokio::pin!(exchange);
        tokio::pin!(connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            ended = &mut connection => Err(ended.err().map_or_else(|| "connection closed".to_owned(), |error| error.to_string())),
        }
    };
    tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| {
        Err(format!("timeout: health rpc did not complete within {}s", timeout.as_secs()))
    })
}

/// `HealthCheckRequest { service }` in a gRPC frame.
fn frame(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(&message);
    framed
}

/// `status` of a framed `HealthCheckResponse`; 0 where the field is left out.
fn status(framed: &[u8]) -> Option<u8> {
    let message = framed.get(5..)?;
    match message {
        [] => Some(0),
        [0x08, status, ..] => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_answers() {
        assert_eq!(frame(""), [0, 0, 0, 0, 0]);
        assert_eq!(frame("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(status(&[0, 0, 0, 0, 2, 0x08, 1]), Some(1));
        assert_eq!(status(&[0, 0]), None);
    }
}
