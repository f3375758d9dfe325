//! A server behind TLS, and short words for requests.

use std::sync::Arc;

use bytes::Bytes;
use cox_apiserver::{Config, User};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::World;

/// A server that listens.
pub struct Web {
    pub world: World,
    pub address: std::net::SocketAddr,
    tls: Arc<rustls::ClientConfig>,
}

pub const TOKEN: &str = "the-administrators-token";

impl Web {
    pub async fn new() -> Web {
        Web::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Web {
        let world = World::with(|config| {
            config.static_tokens = vec![(TOKEN.into(), User::new("admin", &["system:masters"]))];
            change(config);
        })
        .await;
        let pki = world.server.config().pki.clone();
        let identity = pki.server("kube-apiserver", &["localhost".into(), "127.0.0.1".into()]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving =
            cox_apiserver::serve(world.server.clone(), listener, pki.server_config(&identity).unwrap());
        world.server.env().spawn(serving);
        let tls = pki.client_config(None).unwrap();
        Web { world, address, tls }
    }

    /// The same over HTTP/2.
    pub async fn send_http2(
        &self,
        request: http::Request<Full<Bytes>>,
    ) -> http::Response<hyper::body::Incoming> {
        let stream = TokioIo::new(self.connect_by("h2").await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        self.world.server.env().spawn(async move {
            let _ = connection.await;
        });
        sender.send_request(request).await.unwrap()
    }

    /// A connection for whatever bytes one likes.
    pub async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_by("http/1.1").await
    }

    pub async fn connect_by(&self, protocol: &str) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut tls = (*self.tls).clone();
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap()
    }

    pub async fn send(&self, request: http::Request<Full<Bytes>>) -> http::Response<hyper::body::Incoming> {
        let stream = self.connect().await;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.world.server.env().spawn(async move {
            let _ = connection.await;
        });
        sender.send_request(request).await.unwrap()
    }

    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> (u16, String, Value) {
        let mut request = http::Request::builder().method(method).uri(path).header("host", "localhost");
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", format!("Bearer {TOKEN}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.send(request.body(Full::new(Bytes::from(body.into()))).unwrap()).await;
        let code = answer.status().as_u16();
        let media = answer.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        (code, media.unwrap_or_default(), value)
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let (code, _, value) = self.call("GET", path, &[], "").await;
        (code, value)
    }
}
