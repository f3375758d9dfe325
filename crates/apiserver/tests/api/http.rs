//! The same over TLS.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::json;

use crate::web::Web;

#[tokio::test]
async fn objects_over_the_wire() {
    let web = Web::new().await;
    let (code, _, made) = web
        .call(
            "POST",
            "/api/v1/namespaces/n/configmaps?fieldValidation=Strict",
            &[("content-type", "application/yaml"), ("user-agent", "me/1.0")],
            "metadata: {name: a}\ndata: {k: v}\n",
        )
        .await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "me");
    let (code, list) = web.get("/api/v1/namespaces/n/configmaps").await;
    assert_eq!((code, &list["kind"]), (200, &json!("ConfigMapList")));
    assert!(list["items"][0].get("kind").is_none());
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let (_, _, table) = web.call("GET", "/api/v1/configmaps", &[("accept", accept)], "").await;
    assert_eq!(table["rows"][0]["cells"][0], "a");
    let (code, _, status) =
        web.call("PATCH", "/api/v1/namespaces/n/configmaps/a", &[("content-type", "text/plain")], "{}").await;
    assert_eq!((code, &status["reason"]), (415, &json!("UnsupportedMediaType")));
    let (code, status) = web.get("/api/v1/namespaces/n/nothing").await;
    assert_eq!((code, &status["kind"]), (404, &json!("Status")));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let web = Web::new().await;
    let big = format!("{{\"metadata\":{{\"name\":\"a\"}},\"data\":{{\"k\":\"{}\"}}}}", "x".repeat(4 << 20));
    let (code, _, status) = web.call("POST", "/api/v1/namespaces/n/configmaps", &[], big).await;
    assert_eq!((code, &status["reason"]), (413, &json!("RequestEntityTooLarge")));
}

#[tokio::test]
async fn who_shows_nothing_sees_nothing_but_health() {
    let web = Web::new().await;
    let bare = |path: &str, token: Option<&str>| {
        let mut request = http::Request::builder().uri(path).header("host", "localhost");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.body(Full::new(Bytes::new())).unwrap()
    };
    assert_eq!(web.send(bare("/readyz", None)).await.status(), 200);
    assert_eq!(web.send(bare("/api/v1/pods", None)).await.status(), 401);
    assert_eq!(web.send(bare("/api/v1/pods", Some("wrong"))).await.status(), 401);
    assert_eq!(web.send(bare("/readyz", Some("wrong"))).await.status(), 401);
}

#[tokio::test]
async fn discovery_names_what_is_served() {
    let web = Web::new().await;
    let (_, list) = web.get("/api/v1").await;
    let pods = list["resources"].as_array().unwrap().iter().find(|one| one["name"] == "pods").unwrap();
    assert_eq!(pods["shortNames"], json!(["po"]));
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let (code, media, all) = web.call("GET", "/apis", &[("accept", accept)], "").await;
    assert_eq!((code, media.as_str()), (200, accept));
    assert_eq!(all["items"][0]["versions"][0]["freshness"], "Current");
    let (code, _) = web.get("/apis/nothing.example.com/v1").await;
    assert_eq!(code, 404);
}

#[tokio::test]
async fn a_watch_streams_lines_and_ends_in_time() {
    let web = Web::new().await;
    web.world.create("configmaps", "n", json!({"metadata": {"name": "a"}})).await.unwrap();
    let path = "/api/v1/namespaces/n/configmaps?watch=1&timeoutSeconds=1";
    let (code, _, event) = web.call("GET", path, &[], "").await;
    assert_eq!(code, 200);
    assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("a")));
}

#[tokio::test]
async fn acting_as_somebody_needs_the_right_to() {
    let web = Web::new().await;
    let reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let headers = [("impersonate-user", "jane"), ("impersonate-group", "g1")];
    let (code, _, review) = web.call("POST", reviews, &headers, "{}").await;
    assert_eq!(code, 201, "{review}");
    let info = &review["status"]["userInfo"];
    assert_eq!(
        (&info["username"], &info["groups"]),
        (&json!("jane"), &json!(["g1", "system:authenticated"]))
    );
}

#[tokio::test]
async fn the_old_openapi_document_is_protobuf_for_clients_written_in_go() {
    let web = Web::new().await;
    let ask = async |accept: &str| {
        let request = http::Request::builder()
            .uri("/openapi/v2?timeout=32s")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", crate::web::TOKEN))
            .header("accept", accept);
        let answer = web.send(request.body(Full::new(Bytes::new())).unwrap()).await;
        let media_type = answer.headers().get("content-type").unwrap().to_str().unwrap().to_owned();
        (answer.status().as_u16(), media_type, answer.into_body().collect().await.unwrap().to_bytes())
    };
    // As client-go asks.
    let (code, media_type, bytes) = ask("application/com.github.proto-openapi.spec.v2@v1.0+protobuf").await;
    assert_eq!(
        (code, media_type.as_str()),
        (200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
    );
    assert!(bytes.starts_with(b"\x0a\x032.0"), "field 1 is the version of the format");
    assert_eq!(ask("application/json").await.1, "application/json");
    assert_eq!(ask("text/html").await.0, 406);
}
