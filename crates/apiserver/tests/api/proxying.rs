//! Pods behind the `proxy` subresource that speak TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cox_apiserver::pki::Pki;
use cox_apiserver::proxy::{ByteStream, Dialer};
use cox_env::Env;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::pod;
use crate::web::Web;

const POD: &str = "10.42.0.7";

/// Brings whoever asks for the pod to a port of this machine.
struct ToPod(SocketAddr);

#[async_trait]
impl Dialer for ToPod {
    async fn dial(&self, address: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
        assert_eq!(address.ip().to_string(), POD);
        Ok(Box::new(TcpStream::connect(self.0).await?))
    }
}

/// A pod with a certificate of an authority that nobody knows; it shows requests, and sends `/away` elsewhere.
async fn secure_pod() -> SocketAddr {
    let env = Env::real();
    let pki = Pki::in_memory(&env).unwrap();
    let identity = pki.server("somebody", &["elsewhere".into()]).unwrap();
    let acceptor = TlsAcceptor::from(pki.server_config(&identity).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    env.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = vec![0; 8192];
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            let asked = String::from_utf8_lossy(&buffer[..read]).into_owned();
            let answer = if asked.starts_with("GET /away ") {
                format!("HTTP/1.1 302 Found\r\nlocation: https://{POD}:8443/there?x=1\r\ncontent-length: 0\r\n\r\n")
            } else {
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{asked}", asked.len())
            };
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

async fn with_pod(address: SocketAddr) -> Web {
    let web = Web::with(|config| {
        config.dialer = Arc::new(ToPod(address));
        config.limits.handshake_time_max = Duration::from_secs(1);
    })
    .await;
    let mut secure = pod("secure");
    secure["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8443}]);
    web.world.create("pods", "n", secure).await.unwrap();
    let status = json!({"status": {"podIP": POD, "podIPs": [{"ip": POD}]}}).to_string();
    let merge = [("content-type", "application/merge-patch+json")];
    let (code, _, told) = web.call("PATCH", "/api/v1/namespaces/n/pods/secure/status", &merge, status).await;
    assert_eq!(code, 200, "{told}");
    web
}

#[tokio::test]
async fn https_backends_are_not_asked_who_they_are() {
    let web = with_pod(secure_pod().await).await;
    for name in ["https:secure:8443", "https:secure:"] {
        let path = format!("/api/v1/namespaces/n/pods/{name}/proxy/page?a=b");
        let (code, shown) = web.get(&path).await;
        assert_eq!(code, 200, "{name}: {shown}");
        let Value::String(asked) = shown else { panic!("{shown}") };
        assert!(asked.starts_with("GET /page?a=b HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("host: {POD}:8443\r\n")), "{asked}");
        assert!(!asked.to_lowercase().contains("authorization"), "{asked}");
    }
}

#[tokio::test]
async fn redirects_of_https_backends_stay_inside() {
    let web = with_pod(secure_pod().await).await;
    let path = "/api/v1/namespaces/n/pods/https:secure:8443/proxy/away";
    let request = ::http::Request::builder()
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", crate::web::TOKEN))
        .body(Default::default())
        .unwrap();
    let answer = web.send(request).await;
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], "/api/v1/namespaces/n/pods/https:secure:8443/proxy/there?x=1");
}

#[tokio::test]
async fn plain_speech_with_a_tls_backend_is_a_failure() {
    let web = with_pod(secure_pod().await).await;
    let (code, status) = web.get("/api/v1/namespaces/n/pods/secure:8443/proxy/page").await;
    assert_eq!((code, &status["reason"]), (503, &json!("ServiceUnavailable")), "{status}");
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with("error trying to reach service: "), "{message}");
}

/// A pod that takes connections and says nothing doesn't hold its callers for ever.
#[tokio::test]
async fn a_silent_backend_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = with_pod(listener.local_addr().unwrap()).await;
    let (code, status) = web.get("/api/v1/namespaces/n/pods/https:secure:8443/proxy/").await;
    assert_eq!(code, 503, "{status}");
    assert_eq!(status["message"], "error trying to reach service: net/http: TLS handshake timeout");
}
