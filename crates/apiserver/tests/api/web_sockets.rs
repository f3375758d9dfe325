//! Watches over WebSockets.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cox_apiserver::{Config, User};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::pod;
use crate::web::{TOKEN, Web};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn ask(web: &Web, path: &str, headers: &[(&str, &str)]) -> Result<(Socket, Response), Error> {
    let mut request = format!("wss://localhost{path}").into_client_request().unwrap();
    for (name, value) in headers {
        let name = ::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    tokio_tungstenite::client_async(request, web.connect().await).await
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

fn code(refused: Result<(Socket, Response), Error>) -> u16 {
    match refused {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

async fn event(socket: &mut Socket) -> Value {
    match socket.next().await.unwrap().unwrap() {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn events_are_messages() {
    let web = Web::new().await;
    web.world.create("pods", "n", pod("first")).await.unwrap();
    let path = "/api/v1/namespaces/n/pods?watch=true";
    let (mut socket, answer) = ask(&web, path, &[("authorization", &bearer())]).await.unwrap();
    assert_eq!(answer.status(), 101);
    let first = event(&mut socket).await;
    assert_eq!((&first["type"], &first["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("first")));
    for name in ["second", "third"] {
        web.world.create("pods", "n", pod(name)).await.unwrap();
    }
    for name in ["second", "third"] {
        assert_eq!(event(&mut socket).await["object"]["metadata"]["name"], name);
    }
    socket.close(None).await.unwrap();
}

#[tokio::test]
async fn protobuf_comes_in_binary_messages() {
    let web = Web::new().await;
    web.world.create("pods", "n", pod("p")).await.unwrap();
    let headers = [
        ("authorization", bearer()),
        ("accept", "application/vnd.kubernetes.protobuf;stream=watch".to_owned()),
    ];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (mut socket, _) = ask(&web, "/api/v1/watch/namespaces/n/pods/p", &headers).await.unwrap();
    let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() else { panic!("no binary message") };
    // The event's type is its first field.
    assert_eq!(&bytes[..7], b"\x0a\x05ADDED");
}

#[tokio::test]
async fn a_token_may_be_among_the_protocols() {
    let web = Web::new().await;
    let path = "/api/v1/namespaces/n/pods?watch=true";
    let offer = |token: &str| {
        format!(
            "base64url.bearer.authorization.k8s.io.{}, base64.binary.k8s.io",
            URL_SAFE_NO_PAD.encode(token)
        )
    };
    let (_, answer) = ask(&web, path, &[("sec-websocket-protocol", &offer(TOKEN))]).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "base64.binary.k8s.io");
    assert_eq!(code(ask(&web, path, &[("sec-websocket-protocol", &offer("another"))]).await), 401);
    let alone = offer(TOKEN);
    let alone = alone.split(',').next().unwrap();
    assert_eq!(code(ask(&web, path, &[("sec-websocket-protocol", alone)]).await), 401);
}

#[tokio::test]
async fn what_is_no_watch_is_answered_over_http() {
    let web = Web::with(|config: &mut Config| {
        config.static_tokens.push(("nobody".into(), User::new("nobody", &[])));
    })
    .await;
    let admin = bearer();
    assert_eq!(code(ask(&web, "/api/v1/namespaces/n/pods", &[("authorization", &admin)]).await), 200);
    let forbidden = [("authorization", "Bearer nobody")];
    assert_eq!(code(ask(&web, "/api/v1/pods?watch=true", &forbidden).await), 403);
    let wrong = "/api/v1/pods?watch=true&resourceVersion=x";
    assert_eq!(code(ask(&web, wrong, &[("authorization", &admin)]).await), 500);
}

#[tokio::test]
async fn a_watch_that_ends_closes_its_socket() {
    let web = Web::new().await;
    let path = "/api/v1/namespaces/n/pods?watch=true&timeoutSeconds=1";
    let (mut socket, _) = ask(&web, path, &[("authorization", &bearer())]).await.unwrap();
    assert!(matches!(socket.next().await.unwrap().unwrap(), Message::Close(_)));
}
