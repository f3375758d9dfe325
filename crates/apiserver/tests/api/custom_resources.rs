//! Kinds that users make, where they differ from the others: what isn't found, and what can't be read.

use cox_api::Options;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::web::Web;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const PATH: &str = "/apis/x.example.com/v1/namespaces/default/things";

fn definition(plural: &str, kind: &str, scope: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "n": {"type": "integer"}, "template": {"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true}}}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.x.example.com")}, "spec": {"group": "x.example.com", "scope": scope,
        "names": {"plural": plural, "kind": kind}, "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": schema}}]}})
}

async fn post(web: &Web, path: &str, media_type: &str, body: impl Into<String>) -> (u16, Value) {
    let (code, _, answer) = web.call("POST", path, &[("content-type", media_type)], body.into()).await;
    (code, answer)
}

async fn define(web: &Web, definition: Value) {
    let (code, answer) = post(web, DEFINITIONS, "application/json", definition.to_string()).await;
    assert_eq!(code, 201, "{answer}");
    let name = definition["metadata"]["name"].as_str().unwrap();
    let options = Options {
        field_selector: Some(format!("metadata.name={name}")),
        resource_version: Some("0".into()),
        ..Options::default()
    };
    let what = "apiextensions.k8s.io/customresourcedefinitions";
    let mut events = web.world.watch(what, "", options).await.unwrap();
    while let Some(event) = events.next().await {
        let now = event.unwrap().object.unwrap().value();
        let mut conditions = now["status"]["conditions"].as_array().into_iter().flatten();
        if conditions.any(|c| c["type"] == "Established" && c["status"] == "True") {
            return;
        }
    }
    panic!("{name} is not established");
}

async fn make(web: &Web, media_type: &str, body: impl Into<String>) -> (u16, Value) {
    post(web, PATH, media_type, body).await
}

#[tokio::test]
async fn what_cannot_be_read_is_told_as_of_others() {
    let web = Web::new().await;
    define(&web, definition("things", "Thing", "Namespaced")).await;
    let thing = |metadata: Value, spec: Value| {
        json!({"apiVersion": "x.example.com/v1", "kind": "Thing", "metadata": metadata, "spec": spec})
            .to_string()
    };
    let (code, answer) =
        make(&web, "application/json", thing(json!({"name": "a", "labels": {"l": 1}}), json!({}))).await;
    assert_eq!(code, 400);
    assert_eq!(
        answer["message"],
        "Thing in version \"v1\" cannot be handled as a Thing: json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
    );
    let (code, answer) = make(&web, "application/json", "{\"kind\": ").await;
    assert_eq!(code, 400);
    assert!(answer["message"].as_str().unwrap().contains("json parse error: unexpected end of JSON input"));
    let (code, answer) = make(&web, "application/json", "{\"metadata\": {\"name\": \"a\"}}").await;
    assert_eq!(code, 400);
    assert!(answer["message"].as_str().unwrap().contains("Object 'Kind' is missing in"));
    let (code, answer) = make(&web, "application/vnd.kubernetes.protobuf", "k8s").await;
    assert_eq!((code, answer["reason"].as_str()), (415, Some("UnsupportedMediaType")));
    let yaml =
        "apiVersion: x.example.com/v1\nkind: Thing\nmetadata: {name: yaml}\nspec: {\"n\": 1, \"n\": 2}\n";
    let (code, answer) = make(&web, "application/yaml", yaml).await;
    assert_eq!((code, &answer["spec"]["n"]), (201, &json!(2)), "{answer}");
    let template = json!({"template": {"apiVersion": "v1", "metadata": {"name": "t"}}});
    let (code, answer) = make(&web, "application/json", thing(json!({"name": "b"}), template)).await;
    assert_eq!(code, 422);
    assert_eq!(answer["details"]["causes"][0]["field"], "spec.template.kind");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let web = Web::new().await;
    define(&web, definition("things", "Thing", "Namespaced")).await;
    define(&web, definition("tanks", "Tank", "Cluster")).await;
    let code = async |path: &str| web.get(path).await.0;
    assert_eq!(code(PATH).await, 200);
    assert_eq!(code("/apis/x.example.com/v1/things").await, 200);
    assert_eq!(code("/apis/x.example.com/v1/things/a").await, 404);
    assert_eq!(code("/apis/x.example.com/v1/tanks").await, 200);
    assert_eq!(code("/apis/x.example.com/v1/namespaces/default/tanks").await, 404);
    assert_eq!(code("/apis/x.example.com/v2/things").await, 404);
    // Without the subresource in the definition there is none.
    let thing = json!({"apiVersion": "x.example.com/v1", "kind": "Thing", "metadata": {"name": "a"}});
    assert_eq!(make(&web, "application/json", thing.to_string()).await.0, 201);
    for sub in ["status", "scale", "other"] {
        let (code, answer) = web.get(&format!("{PATH}/a/{sub}")).await;
        assert_eq!(
            (code, answer["message"].as_str()),
            (404, Some("things.x.example.com \"a\" not found")),
            "{sub}"
        );
    }
}

#[tokio::test]
async fn what_this_server_cannot_do_is_refused_by_its_field() {
    let web = Web::new().await;
    let mut converted = definition("things", "Thing", "Namespaced");
    converted["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://example.com/convert"}}});
    let (code, answer) = post(&web, DEFINITIONS, "application/json", converted.to_string()).await;
    assert_eq!(code, 422);
    assert_eq!(answer["details"]["causes"][0]["field"], "spec.conversion.strategy");
}
