//! Those who mean harm: forged tokens of all sorts, and connections that keep to no rule.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cox_api::{Body, Options, Request, Verb};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{World, names, resource, value};
use crate::web::{TOKEN, Web};

async fn token(world: &World) -> String {
    let request = Request::new(Verb::Create, resource("serviceaccounts"))
        .namespace("n")
        .name("default")
        .subresource("token")
        .body(Body::Json(json!({"spec": {}})));
    value(world.call(request).await.unwrap())["status"]["token"].as_str().unwrap().to_owned()
}

fn part(token: &str, at: usize) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn forged_and_stale_tokens_are_nobodys() {
    let web = Web::new().await;
    let good = token(&web.world).await;
    let pki = web.world.server.config().pki.clone();
    let (header, claims) = (part(&good, 0), part(&good, 1));
    let parts: Vec<&str> = good.split('.').collect();
    // Signed with the cluster's own key, so that only what is changed is wrong.
    let signed = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims.clone();
        change(&mut claims);
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(pki.token_key().key_id().to_owned());
        jsonwebtoken::encode(&header, &claims, pki.token_key().signing()).unwrap()
    };
    let with_header = |change: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        change(&mut header);
        format!("{}.{}.{}", encoded(&header), parts[1], parts[2])
    };
    let jwk = pki.token_key().jwks().to_string();
    let confused = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &EncodingKey::from_secret(jwk.as_bytes()),
    );
    let mut more = claims.clone();
    more["sub"] = "system:serviceaccount:kube-system:default".into();
    let bad = [
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("other claims", format!("{}.{}.{}", parts[0], encoded(&more), parts[2])),
        ("alg none", with_header(&|header| header["alg"] = "none".into())),
        ("alg none, unsigned", format!("{}.{}.", encoded(&json!({"alg": "none"})), parts[1])),
        ("alg of another family", confused.unwrap()),
        ("another key", with_header(&|header| header["kid"] = "other".into())),
        ("a key of its own", with_header(&|header| header["jwk"] = json!({"kty": "EC"}))),
        ("a header that isn't one", format!("{}.{}.{}", encoded(&json!([])), parts[1], parts[2])),
        ("expired", signed(&|claims| claims["exp"] = 1.into())),
        ("expires at the end of time, backwards", signed(&|claims| claims["exp"] = i64::MIN.into())),
        ("not yet", signed(&|claims| claims["nbf"] = i64::MAX.into())),
        ("for others", signed(&|claims| claims["aud"] = json!(["elsewhere"]))),
        ("for nobody", signed(&|claims| claims["aud"] = json!([]))),
        ("of another issuer", signed(&|claims| claims["iss"] = "me".into())),
        (
            "of an account that was replaced",
            signed(&|claims| claims["kubernetes.io"]["serviceaccount"]["uid"] = "u".into()),
        ),
        ("of no account", signed(&|claims| claims["kubernetes.io"] = json!({"namespace": "n"}))),
        (
            "bound to a pod that isn't there",
            signed(&|claims| claims["kubernetes.io"]["pod"] = json!({"name": "p", "uid": "u"})),
        ),
        ("claims of a wrong form", signed(&|claims| *claims = json!({"aud": 5}))),
        ("dots", ".".repeat(10_000)),
        ("long", "a".repeat(500_000)),
        ("nothing", String::new()),
    ];
    for (what, token) in &bad {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        let (code, _, status) = web.call("GET", "/api/v1/namespaces/n/configmaps", &headers, "").await;
        assert_eq!((code, &status["reason"]), (401, &json!("Unauthorized")), "{what}: {status}");
        let review = json!({"spec": {"token": token}});
        let (code, _, review) = web
            .call(
                "POST",
                "/apis/authentication.k8s.io/v1/tokenreviews",
                &[("content-type", "application/json")],
                review.to_string(),
            )
            .await;
        let authenticated = review["status"]["authenticated"].as_bool().unwrap_or(false);
        assert!(matches!(code, 201 | 400) && !authenticated, "{what}: {code} {review}");
    }
    let authorization = format!("Bearer {good}");
    let (code, ..) =
        web.call("GET", "/api/v1/namespaces/n/configmaps", &[("authorization", &authorization)], "").await;
    assert_eq!(code, 403, "a good token of one who may not");
    for authorization in ["Basic YTpi", "Bearer", "bearer  ", "\u{e9}"] {
        let (code, ..) = web.call("GET", "/api/v1/pods", &[("authorization", authorization)], "").await;
        assert_eq!(code, 401, "{authorization}");
    }
}

#[tokio::test]
async fn forged_continue_tokens_show_nothing_more() {
    let world = World::new().await;
    world.create("namespaces", "", json!({"metadata": {"name": "other"}})).await.unwrap();
    for (namespace, name) in [("n", "a"), ("n", "b"), ("other", "secret")] {
        world.create("configmaps", namespace, json!({"metadata": {"name": name}})).await.unwrap();
    }
    for start in ["", "a", "n/", "n/b", "other/secret", "../secrets/n/", "\u{10ffff}", "\0", "/", "n/\u{0}"] {
        for revision in [1, 0, -1, i64::MIN, i64::MAX, 5] {
            let token = encoded(&json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}));
            let options = Options { continue_token: Some(token), limit: Some(1), ..Options::default() };
            match world.list("configmaps", "n", options).await {
                Ok(list) => assert!(!names(&list).contains(&"secret".to_owned()), "{start:?} {revision}"),
                Err(status) => {
                    assert!(matches!(status.code(), 400 | 410 | 500 | 504), "{start:?} {revision}: {status}")
                }
            }
        }
    }
    for token in [
        json!(null),
        json!({}),
        json!({"v": "meta.k8s.io/v2", "rv": 1, "start": "a"}),
        json!({"v": 1}),
        json!([]),
    ] {
        let options = Options { continue_token: Some(encoded(&token)), ..Options::default() };
        assert_eq!(world.list("configmaps", "n", options).await.unwrap_err().code(), 400, "{token}");
    }
}

/// Sends bytes and returns what comes back until the server closes, or ten seconds have passed.
async fn raw(web: &Web, bytes: &[u8]) -> Option<String> {
    let mut stream = web.connect().await;
    stream.write_all(bytes).await.ok();
    stream.flush().await.ok();
    let mut answer = Vec::new();
    let read = async {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut piece).await {
            answer.extend_from_slice(&piece[..length]);
            if answer.windows(4).any(|end| end == b"\r\n\r\n") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn broken_connections_end() {
    let web = Web::with(|config| config.limits.request_time_max = Duration::from_secs(2)).await;
    let started = Instant::now();
    let auth = format!("host: localhost\r\nauthorization: Bearer {TOKEN}\r\n");
    let post =
        format!("POST /api/v1/namespaces/n/configmaps HTTP/1.1\r\n{auth}content-type: application/json\r\n");
    let code = |answer: &str| answer.split(' ').nth(1).unwrap_or_default().to_owned();
    for (what, bytes, codes) in [
        ("garbage", b"\x16\x03\x01\x00\xff\xff\xff\r\n\r\n".to_vec(), &["400", ""][..]),
        (
            "a path that is none",
            format!("GET pods HTTP/1.1\r\n{auth}\r\n").into_bytes(),
            &["200", "400", "404"],
        ),
        ("a version that doesn't exist", format!("GET / HTTP/9.9\r\n{auth}\r\n").into_bytes(), &["400"]),
        (
            "two lengths",
            format!("{post}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}").into_bytes(),
            &["400"],
        ),
        ("a negative length", format!("{post}content-length: -2\r\n\r\n{{}}").into_bytes(), &["400"]),
        (
            "a length beyond all",
            format!("{post}content-length: 99999999999999999999\r\n\r\n{{}}").into_bytes(),
            &["400"],
        ),
        (
            "a chunk that is none",
            format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
            &["400"],
        ),
        (
            "a length over the limit",
            format!("{post}content-length: 4000000000\r\n\r\n{{").into_bytes(),
            &["413", "504"],
        ),
        ("a body that doesn't come", format!("{post}content-length: 100\r\n\r\n{{").into_bytes(), &["504"]),
        (
            "a line without end",
            format!("GET /{} HTTP/1.1\r\n{auth}\r\n", "a".repeat(2 << 20)).into_bytes(),
            &["414", "431", ""],
        ),
        (
            "headers without end",
            format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(2 << 20)).into_bytes(),
            &["431", ""],
        ),
        (
            "a thousand headers",
            format!("GET / HTTP/1.1\r\n{}{auth}\r\n", "x: y\r\n".repeat(1000)).into_bytes(),
            &["431", "400"],
        ),
        (
            "a query without end",
            format!("GET /api/v1/pods?{} HTTP/1.1\r\n{auth}\r\n", "a=b&".repeat(15_000)).into_bytes(),
            &["200", "414"],
        ),
    ] {
        let answer = raw(&web, &bytes).await.unwrap_or_else(|| panic!("{what}: no end"));
        assert!(codes.contains(&code(&answer).as_str()), "{what}: {answer}");
    }
    // A client that goes in the middle leaves nothing behind.
    for length in [1, 20, 60, 200] {
        let mut stream = web.connect().await;
        let whole = format!("{post}content-length: 500\r\n\r\n{}", "{".repeat(100));
        stream.write_all(&whole.as_bytes()[..length]).await.unwrap();
    }
    assert_eq!(web.get("/readyz").await.0, 200);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_watch_of_one_object_is_of_that_one_alone() {
    let web = Web::new().await;
    for name in ["a", "b"] {
        web.world.create("secrets", "n", json!({"metadata": {"name": name}})).await.unwrap();
    }
    for path in ["secrets/a?timeoutSeconds=1", "secrets/a?timeoutSeconds=1&fieldSelector=metadata.name%3Da"] {
        let (code, _, events) = web.call("GET", &format!("/api/v1/watch/namespaces/n/{path}"), &[], "").await;
        assert_eq!((code, &events["object"]["metadata"]["name"]), (200, &json!("a")), "{path}: {events}");
    }
    // Huge times are as good as none.
    let path = format!("/api/v1/namespaces/n/secrets?watch=1&timeoutSeconds={}", i64::MAX);
    let request = http::Request::builder()
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {TOKEN}"));
    assert_eq!(web.send(request.body(http_body_util::Full::default()).unwrap()).await.status(), 200);
}

#[tokio::test]
async fn huge_numbers_do_no_harm() {
    let world = World::new().await;
    for (number, good) in [(i64::MAX, true), (i64::MIN, false), (-1, false)] {
        let mut pod = crate::support::pod("p");
        pod["spec"]["terminationGracePeriodSeconds"] = i64::MAX.into();
        pod["spec"]["nodeName"] = "node".into();
        world.create("pods", "n", pod).await.ok();
        let deleted = world.delete("pods", "n", "p", json!({"gracePeriodSeconds": number})).await;
        assert!(
            good || deleted.as_ref().is_ok_and(|pod| pod["metadata"]["deletionGracePeriodSeconds"] == 1)
                || deleted.is_err(),
            "{number}: {deleted:?}"
        );
        world.delete("pods", "n", "p", json!({"gracePeriodSeconds": 0})).await.ok();
    }
}
