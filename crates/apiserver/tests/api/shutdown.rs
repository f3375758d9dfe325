//! Probes, and how the server ends.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::web::{TOKEN, Web};

#[tokio::test]
async fn probes_say_what_they_check_in_upstreams_words() {
    let web = Web::new().await;
    let text = async |path: &str| {
        let (code, media_type, body) = web.call("GET", path, &[], "").await;
        assert!(code == 404 || media_type == "text/plain; charset=utf-8", "{path}: {media_type}");
        (code, body.as_str().unwrap_or_default().to_owned())
    };
    for path in ["/livez", "/readyz", "/healthz", "/livez/ping", "/readyz/shutdown", "/readyz?exclude=etcd"] {
        assert_eq!(text(path).await, (200, "ok".into()), "{path}");
    }
    let lines = "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]poststarthook/rbac/bootstrap-roles ok\n\
        [+]poststarthook/scheduling/bootstrap-system-priority-classes ok\n";
    assert_eq!(text("/livez?verbose").await, (200, format!("{lines}livez check passed\n")));
    let ready = format!("{lines}[+]etcd-readiness ok\n[+]shutdown ok\nreadyz check passed\n");
    assert_eq!(text("/readyz?verbose=1").await, (200, ready));
    let excluded = format!(
        "{}warn: some health checks cannot be excluded: no matches for \"a\", \"b\"\nlivez check passed\n",
        lines.replace("[+]etcd ok", "[+]etcd excluded: ok")
    );
    assert_eq!(text("/livez?verbose&exclude=b&exclude=etcd&exclude=a").await, (200, excluded));
    for path in ["/livez/nothing", "/livez/shutdown", "/readyz/ping/x"] {
        assert_eq!(text(path).await.0, 404, "{path}");
    }
    web.world.server.announce_end();
    let failed =
        format!("{lines}[+]etcd-readiness ok\n[-]shutdown failed: reason withheld\nreadyz check failed\n");
    assert_eq!(text("/readyz").await, (500, failed));
    assert_eq!(
        text("/readyz/shutdown").await,
        (500, "internal server error: process is shutting down\n".into())
    );
    assert_eq!(text("/readyz?exclude=shutdown").await, (200, "ok".into()));
    assert_eq!(text("/livez").await, (200, "ok".into()));
}

/// Until the server has a write under way.
async fn writing(web: &Web) {
    while !web.get("/metrics").await.1.as_str().unwrap().contains("request_kind=\"mutating\"} 1\n") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_under_way_is_answered_and_nobody_new_is_listened_to() {
    let web = Web::new().await;
    let mut stream = web.connect().await;
    let head = format!(
        "POST /api/v1/namespaces/n/configmaps HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\
         content-length: 28\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let _idle = web.connect().await;
    let silent = tokio::net::TcpStream::connect(web.address).await.unwrap();
    writing(&web).await;
    let watch = http::Request::builder()
        .uri("/api/v1/namespaces/n/configmaps?watch=1")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {TOKEN}"));
    let watch = web.send(watch.body(Full::new(bytes::Bytes::new())).unwrap()).await;
    let began = Instant::now();
    let rest = async {
        while tokio::net::TcpStream::connect(web.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        stream.write_all(b"{\"metadata\":{\"name\":\"late\"}}").await.unwrap();
        let mut answer = String::new();
        // To the end of the connection.
        stream.read_to_string(&mut answer).await.ok();
        answer
    };
    let (watched, (), answer) = tokio::join!(watch.into_body().collect(), web.world.server.drain(), rest);
    assert!(watched.is_ok(), "the watch ends, it isn't cut off");
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(5), "nothing was waited for in vain");
    drop(silent);
    assert_eq!(web.world.get("configmaps", "n", "late").await.unwrap()["metadata"]["name"], "late");
}

#[tokio::test]
async fn connections_of_http_2_are_told_to_go_away() {
    let web = Web::new().await;
    let stream = TokioIo::new(web.connect_by("h2").await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask = |path: &str| {
        http::Request::builder()
            .uri(format!("https://localhost{path}"))
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Full::new(bytes::Bytes::new()))
            .unwrap()
    };
    let answer = sender.send_request(ask("/api/v1/namespaces/n/configmaps?watch=1")).await.unwrap();
    let (body, ()) = tokio::join!(answer.into_body().collect(), web.world.server.drain());
    assert!(body.is_ok(), "the watch ends, it isn't cut off");
    connection.await.unwrap().unwrap();
    assert!(sender.send_request(ask("/livez")).await.is_err());
}

#[tokio::test]
async fn who_takes_too_long_is_not_waited_for() {
    let web = Web::with(|config| config.limits.drain_time_max = Duration::from_millis(200)).await;
    let mut stream = web.connect().await;
    let head = format!(
        "POST /api/v1/namespaces/n/configmaps HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\
         content-length: 28\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    writing(&web).await;
    let began = Instant::now();
    web.world.server.drain().await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn the_end_can_be_announced_before_it_comes() {
    let web = Web::with(|config| config.limits.shutdown_delay = Duration::from_secs(1)).await;
    let drain = web.world.server.drain();
    let meanwhile = async {
        let (code, _, text) = web.call("GET", "/readyz", &[], "").await;
        assert_eq!(code, 500);
        assert!(text.as_str().unwrap().contains("[-]shutdown failed"), "{text}");
        let map = json!({"metadata": {"name": "a"}}).to_string();
        assert_eq!(web.call("POST", "/api/v1/namespaces/n/configmaps", &[], map).await.0, 201);
    };
    tokio::join!(drain, meanwhile);
    assert!(tokio::net::TcpStream::connect(web.address).await.is_err());
}
