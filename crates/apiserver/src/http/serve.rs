//! Connections: TLS, HTTP/1.1 and HTTP/2, limits.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::guard::{Flowing, Use};
use super::handle::{Connection, handle};
use crate::auth::certificate_user;
use crate::server::ApiServer;

/// Streams of one HTTP/2 connection at a time. Upstream's limit is the same.
const STREAMS_MAX: u32 = 100;
/// How often a quiet HTTP/2 connection is asked whether its client is there, and how long the answer may take.
const PING_EVERY: std::time::Duration = std::time::Duration::from_secs(30);
const PONG_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(15);
/// After a failed accept (no file descriptors left, say).
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// Serves a listener until the server drains or its component ends.
pub async fn serve(server: Arc<ApiServer>, listener: TcpListener, tls: Arc<rustls::ServerConfig>) {
    let acceptor = TlsAcceptor::from(tls);
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let address: Arc<str> = address.into();
    loop {
        let accept = async {
            let permit = server.service().connections.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = server.service().drain.until_begun() => return,
            accepted = accept => accepted,
        };
        let Ok(permit) = permit else { return };
        match accepted {
            Ok((stream, _)) => {
                let (server, acceptor, address) = (server.clone(), acceptor.clone(), address.clone());
                server.clone().env().spawn(async move {
                    connection(server, stream, acceptor, address).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                server.env().sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(server: Arc<ApiServer>, stream: TcpStream, acceptor: TlsAcceptor, address: Arc<str>) {
    // Small answers go out at once.
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().map(|peer| peer.ip()).ok();
    let limits = server.config().limits.clone();
    let stream = Flowing::new(stream, limits.stall_time_max);
    let handshake = tokio::time::timeout(limits.handshake_time_max, acceptor.accept(stream));
    let stream = tokio::select! {
        biased;
        done = handshake => done,
        () = server.until_draining() => return,
    };
    let stream = match stream {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(?peer, %error, "TLS handshake");
            server.service().metrics.tls_errors.fetch_add(1, Ordering::Relaxed);
            return;
        }
        Err(_) => return,
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
    let used = Use::new();
    let about = Arc::new(Connection {
        user: certificate.as_ref().and_then(certificate_user),
        address,
        peer,
        used: used.clone(),
    });
    let draining = server.until_draining();
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let (server, about) = (server.clone(), about.clone());
        async move { Ok::<_, Infallible>(handle(server, about, request).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time_max)
        .max_buf_size(limits.header_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_TIME_MAX);
    builder
        .http2()
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = draining => {
            // GOAWAY, or `Connection: close` with the next answer.
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                result = connection => result,
                () = used.until_only_streams() => return,
            }
        }
        () = used.until_idle(limits.idle_time_max) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(?peer, %error, "connection");
    }
}
