//! Requests that are wrong: malformed, too deep, too large, repeated, of a wrong type or media type, stale, forged,
//! expired. Each gets upstream's Status, and the server goes on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::web::Web;

/// A request and what it gets: status code, reason, and a part of the message.
struct Case {
    request: &'static str,
    media_type: &'static str,
    body: Vec<u8>,
    code: u16,
    reason: &'static str,
    message: String,
}

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

const MAPS: &str = "POST /api/v1/namespaces/n/configmaps";
const PATCH: &str = "PATCH /api/v1/namespaces/n/configmaps/a";

fn case(
    request: &'static str,
    media_type: &'static str,
    body: impl Into<Vec<u8>>,
    code: u16,
    reason: &'static str,
    message: impl Into<String>,
) -> Case {
    Case { request, media_type, body: body.into(), code, reason, message: message.into() }
}

fn bodies() -> Vec<Case> {
    let bad = "BadRequest";
    let deep = |open: &str, close: &str, depth: usize| {
        format!("{{\"data\":{}{}}}", open.repeat(depth), close.repeat(depth))
    };
    vec![
        case(MAPS, JSON, "", 400, bad, "unexpected end of JSON input"),
        case(MAPS, JSON, "{", 400, bad, "unexpected end of JSON input"),
        case(MAPS, JSON, "{\"metadata\":{\"name\":\"x\"", 400, bad, "unexpected end of JSON input"),
        case(MAPS, JSON, "{]", 400, bad, "invalid character ']'"),
        case(MAPS, JSON, "[]", 400, bad, "cannot unmarshal array into Go value"),
        case(MAPS, JSON, "\"x\"", 400, bad, "cannot unmarshal string into Go value"),
        case(MAPS, JSON, "{}{}", 400, bad, "invalid character '{' after top-level value"),
        case(MAPS, JSON, b"{\"metadata\":{\"name\":\"\xff\xfe\"}}", 422, "Invalid", "metadata.name"),
        case(MAPS, JSON, "{\"metadata\":{\"name\":\"\\u0000\"}}", 422, "Invalid", "metadata.name"),
        case(
            MAPS,
            JSON,
            "{\"metadata\":[]}",
            400,
            bad,
            "cannot unmarshal array into Go struct field ConfigMap.metadata",
        ),
        case(
            MAPS,
            JSON,
            "{\"data\":{\"a\":5}}",
            400,
            bad,
            "cannot unmarshal number into Go struct field ConfigMap.data",
        ),
        case(
            MAPS,
            JSON,
            "{\"kind\":\"Secret\"}",
            400,
            bad,
            "Secret in version \"v1\" cannot be handled as a ConfigMap",
        ),
        case(MAPS, JSON, "{\"kind\":\"Nothing\"}", 400, bad, "no kind \"Nothing\" is registered"),
        case(MAPS, JSON, "{\"apiVersion\":\"a/b/c\"}", 400, bad, "unexpected GroupVersion string: a/b/c"),
        case(MAPS, JSON, "{}", 422, "Invalid", "name or generateName is required"),
        case(MAPS, JSON, deep("[", "]", 5_000), 400, bad, ""),
        case(MAPS, JSON, deep("{\"a\":", "}", 100_000), 400, bad, ""),
        case(MAPS, JSON, "[".repeat(2_000_000), 400, bad, ""),
        case(MAPS, JSON, vec![b' '; (3 << 20) + 1], 413, "RequestEntityTooLarge", "limit is 3145728"),
        case(
            "POST /api/v1/namespaces/n/configmaps?fieldValidation=Strict",
            JSON,
            "{\"metadata\":{\"name\":\"x\"},\"data\":{\"a\":\"1\",\"a\":\"2\"},\"z\":1}",
            400,
            bad,
            "strict decoding error: duplicate field \"data.a\", unknown field \"z\"",
        ),
        case(
            "POST /api/v1/namespaces/n/configmaps?fieldValidation=Maybe",
            JSON,
            "{\"metadata\":{\"name\":\"x\"}}",
            422,
            "Invalid",
            "fieldValidation: Unsupported value: \"Maybe\"",
        ),
        case(
            MAPS,
            "text/plain",
            "{}",
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format",
        ),
        case(
            MAPS,
            "application/json-patch+json",
            "[]",
            415,
            "UnsupportedMediaType",
            "accepted media types include",
        ),
        case(MAPS, YAML, "metadata: {name: x", 400, bad, "yaml"),
        case(MAPS, YAML, "a: &a [x]\nb: *c", 400, bad, ""),
        case(MAPS, YAML, "- a\n- b", 400, bad, ""),
        case(MAPS, YAML, b"\xff\xfe", 400, bad, ""),
        case(MAPS, YAML, bomb(), 400, bad, ""),
        case(MAPS, YAML, format!("data: {}", "[".repeat(100_000)), 400, bad, ""),
        case(MAPS, YAML, deep_blocks(10_000), 400, bad, ""),
        case(MAPS, PROTOBUF, "", 400, bad, "expected prefix [107 56 115 0]"),
        case(MAPS, PROTOBUF, "k8s\0\n\x7f", 400, bad, "unexpected EOF"),
        case(MAPS, PROTOBUF, b"k8s\0\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 400, bad, ""),
        case(MAPS, PROTOBUF, b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret", 400, bad, "Secret"),
        case(
            "PUT /api/v1/namespaces/n/configmaps/a",
            JSON,
            "{\"metadata\":{\"name\":\"b\"}}",
            400,
            bad,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
        case(
            "POST /api/v1/namespaces/n/configmaps",
            JSON,
            "{\"metadata\":{\"name\":\"x\",\"namespace\":\"m\"}}",
            400,
            bad,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        case(
            "POST /api/v1/namespaces/n/pods/x/binding",
            JSON,
            "{\"metadata\":{\"name\":\"y\",\"namespace\":\"m\"}}",
            400,
            bad,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        case(
            "POST /api/v1/namespaces/n/pods/x/eviction",
            JSON,
            "{\"metadata\":{\"name\":\"y\",\"namespace\":\"m\"}}",
            400,
            bad,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        case(
            "POST /api/v1/namespaces/n/serviceaccounts/x/token",
            JSON,
            "{\"metadata\":{\"name\":\"y\",\"namespace\":\"m\"}}",
            400,
            bad,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        case(
            "POST /api/v1/namespaces/n/bindings",
            JSON,
            "{\"target\":{\"name\":\"a\"}}",
            400,
            bad,
            "Name parameter required.",
        ),
        case(
            "POST /api/v1/namespaces/n/bindings?fieldValidation=Strict",
            JSON,
            "{\"metadata\":{\"name\":\"x\"},\"goal\":1,\"target\":{\"name\":\"a\"}}",
            400,
            bad,
            "unknown field \"goal\"",
        ),
    ]
}

fn patches() -> Vec<Case> {
    let bad = "BadRequest";
    let rejected = "the server rejected our request due to an error in our request";
    let copies: Vec<Value> = (0..50)
        .map(|at| json!({"op": "copy", "from": "/metadata", "path": format!("/metadata/annotations/{at}")}))
        .collect();
    let first = json!({"op": "add", "path": "/metadata/annotations", "value": {}});
    let copies: Vec<Value> = std::iter::once(first).chain(copies).collect();
    vec![
        case(PATCH, JSON, "{}", 415, "UnsupportedMediaType", ""),
        case(
            PATCH,
            JSON_PATCH,
            "{}",
            400,
            bad,
            "cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        case(PATCH, JSON_PATCH, "[", 400, bad, "unexpected end of JSON input"),
        case(PATCH, JSON_PATCH, "[{\"op\":\"fly\",\"path\":\"/a\"}]", 422, "Invalid", rejected),
        case(PATCH, JSON_PATCH, "[{\"op\":\"remove\",\"path\":\"/data/none\"}]", 422, "Invalid", rejected),
        case(
            PATCH,
            JSON_PATCH,
            "[{\"op\":\"test\",\"path\":\"/data/k\",\"value\":\"other\"}]",
            422,
            "Invalid",
            rejected,
        ),
        case(PATCH, JSON_PATCH, Value::from(copies).to_string(), 422, "Invalid", rejected),
        case(
            PATCH,
            JSON_PATCH,
            Value::from(vec![json!({"op": "test", "path": "/data/k", "value": "v"}); 10_001]).to_string(),
            413,
            "RequestEntityTooLarge",
            "The allowed maximum operations in a JSON patch is 10000, got 10001",
        ),
        case(PATCH, MERGE_PATCH, "[]", 400, bad, ""),
        case(PATCH, MERGE_PATCH, "{\"data\":", 400, bad, "unexpected end of JSON input"),
        case(PATCH, MERGE_PATCH, "{\"data\":{\"k\":5}}", 422, "Invalid", ""),
        case(
            PATCH,
            MERGE_PATCH,
            format!("{{\"data\":{}1{}}}", "{\"a\":".repeat(300), "}".repeat(300)),
            400,
            bad,
            "",
        ),
        case(
            PATCH,
            STRATEGIC_PATCH,
            "{\"metadata\":{\"$patch\":\"fly\"}}",
            500,
            "",
            "unknown patch type: fly",
        ),
        case(PATCH, STRATEGIC_PATCH, "{\"metadata\":{\"ownerReferences\":[1]}}", 422, "Invalid", ""),
        case(
            PATCH,
            STRATEGIC_PATCH,
            "{\"metadata\":{\"name\":\"b\"}}",
            400,
            bad,
            "does not match the name on the URL",
        ),
        case(
            PATCH,
            STRATEGIC_PATCH,
            "{\"metadata\":{\"uid\":\"other\"}}",
            422,
            "Invalid",
            "field is immutable",
        ),
        case(
            PATCH,
            MERGE_PATCH,
            "{\"metadata\":{\"resourceVersion\":\"1\"}}",
            409,
            "Conflict",
            "the object has been modified",
        ),
        case(PATCH, MERGE_PATCH, "{\"metadata\":{\"resourceVersion\":\"x\"}}", 500, "", "strconv.ParseUint"),
        case(
            PATCH,
            APPLY_PATCH,
            "{}",
            422,
            "Invalid",
            "fieldManager: Required value: is required for apply patch",
        ),
        case("PATCH /api/v1/namespaces/n/configmaps/a?fieldManager=m", APPLY_PATCH, "{}", 400, bad, ""),
        case("PATCH /api/v1/namespaces/n/configmaps/a?fieldManager=m", APPLY_PATCH, bomb(), 400, bad, ""),
        case(
            "PATCH /api/v1/namespaces/n/configmaps/a?fieldManager=m",
            APPLY_PATCH,
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, managedFields: [{}]}}",
            400,
            bad,
            "metadata.managedFields must be nil",
        ),
        case(
            "PATCH /api/v1/namespaces/n/configmaps/a?force=true",
            MERGE_PATCH,
            "{}",
            422,
            "Invalid",
            "force: Forbidden",
        ),
    ]
}

fn parameters() -> Vec<Case> {
    let bad = "BadRequest";
    vec![
        case(
            "GET /api/v1/namespaces/n/configmaps?labelSelector=a%3D%3D%3Db",
            "",
            "",
            400,
            bad,
            "unable to parse requirement",
        ),
        case("GET /api/v1/namespaces/n/configmaps?labelSelector=%21%21", "", "", 400, bad, ""),
        case("GET /api/v1/namespaces/n/configmaps?fieldSelector=spec.x%3D1", "", "", 400, bad, "spec.x"),
        case("GET /api/v1/namespaces/n/configmaps?fieldSelector=x", "", "", 400, bad, ""),
        case("GET /api/v1/namespaces/n/configmaps?limit=x", "", "", 400, bad, "strconv.ParseInt"),
        case(
            "GET /api/v1/namespaces/n/configmaps?limit=99999999999999999999",
            "",
            "",
            400,
            bad,
            "value out of range",
        ),
        case(
            "GET /api/v1/namespaces/n/configmaps?continue=%21%21",
            "",
            "",
            400,
            bad,
            "continue key is not valid",
        ),
        case(
            "GET /api/v1/namespaces/n/configmaps?continue=AAAA",
            "",
            "",
            400,
            bad,
            "continue key is not valid",
        ),
        case(
            "GET /api/v1/namespaces/n/configmaps?resourceVersion=x",
            "",
            "",
            400,
            bad,
            "invalid resource version",
        ),
        case("GET /api/v1/namespaces/n/configmaps?resourceVersion=-1", "", "", 400, bad, ""),
        case(
            "GET /api/v1/namespaces/n/configmaps?resourceVersionMatch=Exact",
            "",
            "",
            422,
            "Invalid",
            "forbidden unless resourceVersion is provided",
        ),
        case(
            "GET /api/v1/namespaces/n/configmaps?resourceVersion=18446744073709551615&resourceVersionMatch=Exact",
            "",
            "",
            504,
            "Timeout",
            "Too large resource version",
        ),
        case(
            "GET /api/v1/namespaces/n/configmaps?sendInitialEvents=true",
            "",
            "",
            422,
            "Invalid",
            "sendInitialEvents is forbidden for list",
        ),
        case("GET /api/v1/namespaces/n/configmaps?watch=1&resourceVersion=x", "", "", 500, "", ""),
        case(
            "GET /api/v1/namespaces/n/configmaps?watch=1&sendInitialEvents=true",
            "",
            "",
            422,
            "Invalid",
            "requires setting resourceVersionMatch to NotOlderThan",
        ),
        case("GET /api/v1/namespaces/n/configmaps?watch=1&timeoutSeconds=x", "", "", 400, bad, ""),
        case(
            "GET /api/v1/namespaces/n/configmaps/none",
            "",
            "",
            404,
            "NotFound",
            "configmaps \"none\" not found",
        ),
        case("GET /api/v1/namespaces/n/configmaps/%00", "", "", 404, "NotFound", ""),
        case("GET /api/v1/namespaces/%2e%2e/configmaps/a", "", "", 404, "NotFound", ""),
        case("GET /api/v1/namespaces/n/configmaps/..%2fn%2fa", "", "", 404, "NotFound", ""),
        case("GET /api/v1/namespaces/n/configmaps/%ff%fe", "", "", 404, "NotFound", ""),
        case(
            "GET /api/v1/watch/namespaces/n/configmaps/a?fieldSelector=metadata.name%3Db",
            "",
            "",
            400,
            bad,
            "fieldSelector metadata.name doesn't match requested name",
        ),
        case(
            "GET /api/v1/namespaces/n/nothings",
            "",
            "",
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
        case("GET /api/v1/namespaces/n/configmaps/a/scale", "", "", 404, "NotFound", ""),
        case("POST /api/v1/namespaces/n/configmaps/a", JSON, "{}", 405, "MethodNotAllowed", ""),
        case("POST /api/v1/namespaces/n", JSON, "{}", 405, "MethodNotAllowed", ""),
        case("POST /api/v1/namespaces/n/pods/x/status", JSON, "{}", 405, "MethodNotAllowed", ""),
        case("GET /api/v1/namespaces/n/pods/x/binding", "", "", 405, "MethodNotAllowed", ""),
        case("DELETE /api/v1/namespaces/n/pods/x/status", "", "", 405, "MethodNotAllowed", ""),
        case("PUT /api/v1/namespaces/n/configmaps", JSON, "{}", 405, "MethodNotAllowed", ""),
        case("TRACE /api/v1/namespaces/n/configmaps", "", "", 405, "MethodNotAllowed", ""),
        case("DELETE /api/v1/namespaces/n/configmaps/a?dryRun=Some", "", "", 422, "Invalid", "dryRun"),
        // Everything that's wrong with the options is told at once, before the body is read.
        case(
            "POST /api/v1/namespaces/n/configmaps?fieldManager=a%07&dryRun=All&dryRun=Some&fieldValidation=Some",
            JSON,
            "{",
            422,
            "Invalid",
            "CreateOptions.meta.k8s.io \"\" is invalid: [fieldManager: Invalid value: \"a\\a\": invalid character \
             U+0007 (at position 1), dryRun: Unsupported value: [\"All\",\"Some\"]: supported values: \"All\", \
             fieldValidation: Unsupported value: \"Some\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"]",
        ),
        case(
            "PATCH /api/v1/namespaces/n/configmaps/a?fieldValidation=Some&force=true",
            "application/merge-patch+json",
            "{",
            422,
            "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: [force: Forbidden: may not be specified for non-apply patch, \
             fieldValidation: Unsupported value",
        ),
        case("DELETE /api/v1/namespaces/n/configmaps/a?gracePeriodSeconds=x", "", "", 400, bad, ""),
        case(
            "DELETE /api/v1/namespaces/n/configmaps/a?propagationPolicy=Fly",
            "",
            "",
            422,
            "Invalid",
            "propagationPolicy",
        ),
        case(
            "DELETE /api/v1/namespaces/n/configmaps/a",
            JSON,
            "{\"preconditions\":{\"uid\":\"other\"}}",
            409,
            "Conflict",
            "the UID in the precondition (other)",
        ),
        case(
            "DELETE /api/v1/namespaces/n/configmaps/a",
            JSON,
            "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}",
            400,
            bad,
            "",
        ),
        case("DELETE /api/v1/namespaces/n/configmaps/a", JSON, "{", 400, bad, ""),
        case(
            "POST /api/v1/namespaces/n/serviceaccounts/default/token",
            JSON,
            "{\"spec\":{\"audiences\":[],\"expirationSeconds\":9223372036854775807}}",
            422,
            "Invalid",
            "may not specify a duration larger than 2^32 seconds",
        ),
    ]
}

/// References to references: a few lines that are a billion words.
fn bomb() -> String {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in "bcdefghijklm".chars().zip("abcdefghijkl".chars()) {
        text += &format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(", "));
    }
    text
}

fn deep_blocks(depth: usize) -> String {
    // "- - - - x" opens a list with each dash.
    format!("data: \n  {}x", "- ".repeat(depth))
}

async fn check(
    web: &Web,
    Case { request, media_type, body, code, reason, message }: Case,
) -> Result<(), String> {
    let (method, path) = request.split_once(' ').unwrap();
    let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
    let headers: &[(&str, &str)] = if media_type.is_empty() { &[] } else { &[("content-type", media_type)] };
    let call = tokio::time::timeout(Duration::from_secs(20), web.call(method, path, headers, body));
    let Ok((got, _, status)) = call.await else {
        return Err(format!("{request} {media_type} {shown:?} hangs"));
    };
    let fits = got == code
        && status["kind"] == "Status"
        && status["code"] == code
        && status["reason"].as_str().unwrap_or_default() == reason
        && status["message"].as_str().is_some_and(|text| text.contains(&message));
    if fits {
        Ok(())
    } else {
        Err(format!(
            "{request} {media_type} {shown:?}\n    wanted {code} {reason} {message:?}\n    got {got} {status}"
        ))
    }
}

#[tokio::test]
async fn each_gets_upstreams_status() {
    let web = Web::new().await;
    web.world
        .create("configmaps", "n", json!({"metadata": {"name": "a"}, "data": {"k": "v"}}))
        .await
        .unwrap();
    let mut faults = Vec::new();
    for case in bodies().into_iter().chain(patches()).chain(parameters()) {
        faults.extend(check(&web, case).await.err());
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    // Nothing came of all that.
    let (_, list) = web.get("/api/v1/namespaces/n/configmaps").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["items"][0]["data"], json!({"k": "v"}));
}
