//! Paths that aren't resources: health, version, discovery, OpenAPI, metrics, the issuer's keys.

use std::io::Write;

use cox_api::{Status, openapi};
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
    VARY,
};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::accept::{self, Form, Purpose, Shape};
use super::handle::Connection;
use super::reply::{Answered, Reply, text, whole};
use super::target::Query;
use super::{discovery, encode, health};
use crate::server::ApiServer;

/// Smaller answers are sent as they are. Source: upstream's `defaultGzipThresholdBytes`.
const GZIP_BYTES_MIN: usize = 128 * 1024;

/// The second version's OpenAPI document as protobuf, by its two names; it is answered under the first.
const OPENAPI_V2: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
];

/// Answers a request for such a path.
pub(super) async fn answer(
    server: &ApiServer,
    connection: &Connection,
    request: http::Request<Incoming>,
) -> Result<Answered, Status> {
    let path = request.uri().path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(not_found());
    }
    let accept =
        request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let trimmed = path.trim_matches('/');
    let parts: Vec<&str> = if trimmed.is_empty() { Vec::new() } else { trimmed.split('/').collect() };
    let query = request.uri().query().unwrap_or_default();
    let answered = match parts.as_slice() {
        [] => document(&json!({"paths": paths(server)})),
        [probe, rest @ ..] if health::PROBES.contains(probe) => {
            health::answer(server, probe, &rest.join("/"), &Query::parse(query)).unwrap_or_else(not_found)
        }
        ["version"] => document(&version()),
        ["metrics"] => metrics(server),
        ["api"] => by_form(server, &accept, true, &connection.address)?,
        ["apis"] => by_form(server, &accept, false, &connection.address)?,
        ["api", version] => in_form(
            &accept,
            discovery::resource_list(server.definitions(), "", version).ok_or_else(Status::no_such_path)?,
        )?,
        ["apis", group] => match discovery::group(server.definitions(), group) {
            Some(value) => in_form(&accept, value)?,
            None => not_found(),
        },
        ["apis", group, version] => match discovery::resource_list(server.definitions(), group, version) {
            Some(value) => in_form(&accept, value)?,
            None if discovery::is_own_group(group) => return Err(Status::no_such_path()),
            None => not_found(),
        },
        ["openapi", "v3"] => tagged(&request, &openapi::v3_index(&server.definitions().documents())),
        ["openapi", "v3", "api", version] => of_option(&request, openapi::v3("", version, &[])),
        ["openapi", "v3", "apis", group, version] => {
            of_option(&request, openapi::v3(group, version, &server.definitions().documents()))
        }
        ["openapi", "v2"] => match accept::prefers(&accept, &OPENAPI_V2) {
            Some(true) => tagged_bytes(&request, OPENAPI_V2[0], openapi::v2_protobuf()),
            Some(false) => tagged(&request, &openapi::v2()),
            None => whole(406, "text/plain; charset=utf-8", ""),
        },
        [".well-known", "openid-configuration"] => document(&issuer(server)),
        ["openid", "v1", "jwks"] => {
            let mut answered = document(&server.config().pki.token_key().jwks());
            answered.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
            answered
        }
        ["apis", group, ..] if !discovery::is_own_group(group) => not_found(),
        ["api" | "apis", ..] => return Err(Status::no_such_path()),
        _ => not_found(),
    };
    Ok(answered)
}

fn document(value: &Value) -> Answered {
    whole(200, "application/json", value.to_string())
}

fn not_found() -> Answered {
    text(404, "404 page not found\n")
}

/// A document in the encoding that the client asked for.
fn in_form(accept: &str, value: Value) -> Result<Answered, Status> {
    let form = accept::choose(Some(accept), Purpose::Object, true)?;
    Ok(encode::of_value(200, &value, Form { shape: Shape::Whole, ..form }))
}

fn of_option(request: &http::Request<Incoming>, value: Option<Value>) -> Answered {
    value.map_or_else(not_found, |value| tagged(request, &value))
}

/// A document with a tag: the client keeps it until it changes.
fn tagged(request: &http::Request<Incoming>, value: &Value) -> Answered {
    tagged_bytes(request, "application/json", value.to_string().into_bytes())
}

fn tagged_bytes(request: &http::Request<Incoming>, media_type: &'static str, bytes: Vec<u8>) -> Answered {
    let tag = discovery::etag(&bytes);
    let same = request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answered = if same { whole(304, media_type, "") } else { whole(200, media_type, bytes) };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answered.headers_mut().insert(ETAG, tag);
    }
    answered.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    answered
}

/// `/api` and `/apis`: plain, or everything at once where the client knows how to read it.
fn by_form(server: &ApiServer, accept: &str, core: bool, address: &str) -> Result<Answered, Status> {
    for range in accept.split(',').map(str::trim) {
        let parts: Vec<&str> = range.split(';').map(str::trim).collect();
        let aggregated = ["application/json", "as=APIGroupDiscoveryList", "g=apidiscovery.k8s.io", "v=v2"];
        if aggregated.iter().all(|part| parts.contains(part)) {
            let value = discovery::aggregated(server.definitions(), core);
            let bytes = value.to_string();
            let tag = discovery::etag(bytes.as_bytes());
            let mut answered = whole(200, "application/json", bytes);
            const MEDIA_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
            answered.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            if let Ok(tag) = HeaderValue::from_str(&tag) {
                answered.headers_mut().insert(ETAG, tag);
            }
            answered.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
            answered.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public"));
            return Ok(answered);
        }
        if range.starts_with("application/json") || range.starts_with("*/*") {
            break;
        }
    }
    in_form(
        accept,
        if core { discovery::api_versions(address) } else { discovery::group_list(server.definitions()) },
    )
}

fn version() -> Value {
    json!({"major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35", "gitVersion": concat!("v1.36.0-cox.", env!("CARGO_PKG_VERSION")), "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("linux/{}", if std::env::consts::ARCH == "x86_64" { "amd64" } else { "arm64" })})
}

fn metrics(server: &ApiServer) -> Answered {
    whole(200, crate::metrics::MEDIA_TYPE, crate::metrics::render(server, &version()))
}

fn issuer(server: &ApiServer) -> Value {
    let issuer = &server.config().issuer;
    json!({"issuer": issuer, "jwks_uri": format!("{issuer}/openid/v1/jwks"), "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"]})
}

fn paths(server: &ApiServer) -> Vec<String> {
    let mut paths: Vec<String> =
        ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis"].map(str::to_owned).into();
    if let Value::Array(groups) = &discovery::group_list(server.definitions())["groups"] {
        for group in groups {
            paths.push(format!("/apis/{}", group["name"].as_str().unwrap_or_default()));
            for version in group["versions"].as_array().into_iter().flatten() {
                paths.push(format!("/apis/{}", version["groupVersion"].as_str().unwrap_or_default()));
            }
        }
    }
    for probe in health::PROBES {
        paths.push(format!("/{probe}"));
        paths.extend(health::checks(probe).map(|check| format!("/{probe}/{check}")));
    }
    paths
        .extend(["/metrics", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/version"].map(str::to_owned));
    paths.sort();
    paths
}

/// Compresses a big answer for a client that can take it.
pub(super) fn compress(answered: Answered) -> Answered {
    let (mut parts, body) = answered.into_parts();
    let bytes = match body {
        Reply::Whole(bytes) if bytes.len() >= GZIP_BYTES_MIN && parts.status == StatusCode::OK => bytes,
        other => return Answered::from_parts(parts, other),
    };
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 4), flate2::Compression::new(1));
    match encoder.write_all(&bytes).and_then(|()| encoder.finish()) {
        Ok(packed) => {
            parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            parts.headers.remove(CONTENT_LENGTH);
            Answered::from_parts(parts, Reply::Whole(packed.into()))
        }
        Err(_) => Answered::from_parts(parts, Reply::Whole(bytes)),
    }
}
