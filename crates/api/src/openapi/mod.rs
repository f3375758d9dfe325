//! OpenAPI documents, built from the schema table and the kinds that are served.
//! Source: <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition>
//!
//! Building a document takes milliseconds and megabytes: servers keep the bytes, not the value.

mod custom;
mod gnostic;
mod paths;
mod prose;
mod schemas;

use serde_json::{Map, Value, json};

pub use custom::Custom;

use crate::kind::KindInfo;
use crate::kinds;
use crate::schema;
use paths::Paths;
use prose::Prose;
use schemas::{Flavor, Schemas};

/// The document of `/openapi/v3`: paths, and where to get each with the hash of its content.
pub fn v3_index(custom: &[Custom]) -> Value {
    let mut paths = Map::new();
    for info in infos().chain(custom.iter().map(|kind| kind.info)) {
        let path = paths::root(info.group, info.version);
        let key = path.trim_start_matches('/').to_owned();
        if !paths.contains_key(&key) {
            let hash = hash(info.group, info.version, custom);
            paths.insert(key, json!({"serverRelativeURL": format!("/openapi/v3{path}?hash={hash}")}));
        }
    }
    json!({"paths": paths})
}

/// The document of a group and version (`/openapi/v3/apis/apps/v1`), where it is served.
pub fn v3(group: &str, version: &str, custom: &[Custom]) -> Option<Value> {
    let here = |info: &KindInfo| info.group == group && info.version == version;
    let served: Vec<&'static KindInfo> = infos().filter(|info| here(info)).collect();
    let custom: Vec<&Custom> = custom.iter().filter(|kind| here(kind.info)).collect();
    if served.is_empty() && custom.is_empty() {
        return None;
    }
    let prose = Prose::unpack();
    let (paths, schemas) = build(Flavor::V3, &prose, Some((group, version)), &served, &custom);
    Some(json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "in": "header", "name": "authorization",
                "description": "Bearer Token authentication",
            }},
        },
    }))
}

/// The hash that `/openapi/v3` gives for a group and version: it changes when the document does.
pub fn hash(group: &str, version: &str, custom: &[Custom]) -> String {
    let mut hash = schema::DIGEST;
    let mut mix = |text: &str| {
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    mix(env!("CARGO_PKG_VERSION"));
    for info in infos().filter(|info| info.group == group && info.version == version) {
        mix(&format!("{info:?}"));
    }
    for kind in custom.iter().filter(|kind| kind.info.group == group && kind.info.version == version) {
        mix(&format!("{:?}{}", kind.info, kind.schema));
    }
    format!("{hash:016X}")
}

/// The document of `/openapi/v2`.
pub fn v2() -> Value {
    let prose = Prose::unpack();
    let served: Vec<&'static KindInfo> = infos().collect();
    let (paths, schemas) = build(Flavor::V2, &prose, None, &served, &[]);
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": paths,
        "definitions": schemas,
        "security": [{"BearerToken": []}],
        "securityDefinitions": {"BearerToken": {
            "type": "apiKey", "in": "header", "name": "authorization",
            "description": "Bearer Token authentication",
        }},
    })
}

/// The document of `/openapi/v2` as protobuf (gnostic's `openapi.v2.Document`).
pub fn v2_protobuf() -> Vec<u8> {
    gnostic::document(&v2())
}

fn infos() -> impl Iterator<Item = &'static KindInfo> {
    kinds::ALL.iter().map(|kind| kind.info()).chain(kinds::without_objects::ALL.iter().copied())
}

fn info() -> Value {
    json!({"title": "Kubernetes", "version": "v1.36.2"})
}

fn build<'a>(
    flavor: Flavor,
    prose: &'a Prose,
    group_version: Option<(&'a str, &'a str)>,
    served: &[&'static KindInfo],
    custom: &[&Custom],
) -> (Value, Value) {
    let mut schemas = Schemas::new(flavor, prose, group_version);
    // What every answer may be besides the kinds themselves.
    for kind in ["Status", "WatchEvent", "APIResourceList"] {
        if let Some(of) = schema::type_of("", "v1", kind) {
            schemas.reference(of);
        }
    }
    for kind in custom {
        kind.describe(&mut schemas);
    }
    let mut paths = Paths::new(flavor, &mut schemas);
    for info in served {
        paths.add(info, None);
    }
    for kind in custom {
        paths.add(kind.info, Some(&kind.names()));
    }
    (paths.finish(), schemas.finish())
}

#[cfg(test)]
mod tests;
