//! One line of the log: an `audit.k8s.io/v1` Event.
//! Source: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-Event>

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::policy::{Level, Stage};
use crate::auth::User;

/// Bytes of bodies in one event. Beyond them the event says that it was cut, as upstream's `truncated`.
pub(super) const BODY_BYTES_MAX: usize = 10 << 20;
/// Bytes of a user agent. Source: upstream's `maxUserAgentLength`.
const AGENT_BYTES_MAX: usize = 1024;

/// What doesn't change from one stage of a request to the next.
#[derive(Debug)]
pub(crate) struct Head {
    pub(super) level: Level,
    pub(super) omit_managed_fields: bool,
    pub(super) audit_id: String,
    pub(super) uri: String,
    pub(super) verb: String,
    pub(super) user: Option<User>,
    pub(super) sources: Vec<String>,
    pub(super) agent: String,
    pub(super) object: Option<ObjectRef>,
    pub(super) received: Timestamp,
}

/// What a request is about.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectRef {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) subresource: String,
}

/// A body as it came or was sent; it is read where the log is written.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) media_type: String,
    /// In pieces, as they were sent.
    pub(crate) bytes: Vec<Bytes>,
    /// A patch is recorded as it came, and says nothing of its object's name.
    pub(crate) is_patch: bool,
}

/// What has become of a request so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    pub(super) impersonated: Option<User>,
    pub(super) status: Map<String, Value>,
    pub(super) request: Option<Payload>,
    pub(super) response: Option<Payload>,
    pub(super) annotations: BTreeMap<Cow<'static, str>, String>,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(super) head: Arc<Head>,
    pub(super) tail: Tail,
    pub(super) stage: Stage,
    pub(super) at: Timestamp,
}

impl Payload {
    pub(super) fn len(&self) -> usize {
        self.bytes.iter().map(Bytes::len).sum()
    }

    /// The object, if it can be read.
    fn value(&self) -> Option<Value> {
        let bytes = self.bytes.concat();
        let media_type = self.media_type.split(';').next().unwrap_or_default().trim();
        match media_type {
            "application/vnd.kubernetes.protobuf" => {
                cox_api::protobuf::decode(&bytes).ok().map(|(_, _, value)| value)
            }
            "application/yaml" | "application/apply-patch+yaml" => {
                serde_saphyr::from_str(std::str::from_utf8(&bytes).ok()?).ok()
            }
            _ => serde_json::from_slice(&bytes).ok(),
        }
    }
}

fn micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

fn user(user: &User) -> Value {
    let mut out = Map::new();
    out.insert("username".into(), user.name.as_str().into());
    if !user.uid.is_empty() {
        out.insert("uid".into(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        out.insert("groups".into(), user.groups.clone().into());
    }
    if !user.extra.is_empty() {
        out.insert("extra".into(), serde_json::json!(user.extra));
    }
    out.into()
}

/// Takes `managedFields` out of an object, the items of a list and the rows of a table.
fn omit_managed_fields(value: &mut Value) {
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
    metadata.and_then(|metadata| metadata.remove("managedFields"));
    for item in value.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        omit_managed_fields(item);
    }
    for row in value.get_mut("rows").and_then(Value::as_array_mut).into_iter().flatten() {
        row.get_mut("object").map(omit_managed_fields);
    }
}

impl Event {
    /// About how many bytes it holds in memory.
    pub(super) fn weight(&self) -> usize {
        const FIXED: usize = 2048;
        let body = |payload: &Option<Payload>| payload.as_ref().map_or(0, Payload::len);
        FIXED + body(&self.tail.request) + body(&self.tail.response)
    }

    /// The line, without its end.
    pub(super) fn line(&self) -> String {
        let (head, tail) = (&*self.head, &self.tail);
        let request = tail.request.as_ref().and_then(Payload::value);
        let mut annotations = tail.annotations.clone();
        let mut object = head.object.clone();
        if let (Some(object), Some(request), false) =
            (&mut object, &request, tail.request.as_ref().is_none_or(|request| request.is_patch))
        {
            let of = |key: &str| request["metadata"][key].as_str().unwrap_or_default().to_owned();
            let complete = |known: &mut String, key: &str| {
                if known.is_empty() {
                    *known = of(key);
                }
            };
            complete(&mut object.namespace, "namespace");
            complete(&mut object.name, "name");
            complete(&mut object.uid, "uid");
            complete(&mut object.resource_version, "resourceVersion");
        }
        let mut request = request.filter(|_| head.level >= Level::Request);
        let wanted = tail.response.as_ref().filter(|_| head.level >= Level::RequestResponse);
        let mut response = wanted.and_then(Payload::value);
        let bytes = tail.request.as_ref().map_or(0, Payload::len) + wanted.map_or(0, Payload::len);
        if bytes > BODY_BYTES_MAX && head.level >= Level::Request {
            (request, response) = (None, None);
            annotations.insert("audit.k8s.io/truncated".into(), "true".into());
        }
        if head.omit_managed_fields {
            request.as_mut().map(omit_managed_fields);
            response.as_mut().map(omit_managed_fields);
        }
        let line = Line {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: head.level.as_str(),
            audit_id: &head.audit_id,
            stage: self.stage.as_str(),
            request_uri: &head.uri,
            verb: &head.verb,
            user: head.user.as_ref().map_or_else(|| Value::Object(Map::new()), user),
            impersonated_user: tail.impersonated.as_ref().map(user),
            source_ips: &head.sources,
            user_agent: agent(&head.agent),
            object_ref: object,
            response_status: (!tail.status.is_empty()).then(|| {
                let mut status = tail.status.clone();
                status.insert("metadata".into(), Map::new().into());
                status
            }),
            request_object: request,
            response_object: response,
            request_received_timestamp: micro(head.received),
            stage_timestamp: micro(self.at),
            annotations,
        };
        serde_json::to_string(&line).unwrap_or_default()
    }
}

fn agent(text: &str) -> String {
    if text.len() <= AGENT_BYTES_MAX {
        return text.to_owned();
    }
    format!("{}...TRUNCATED", &text[..text.floor_char_boundary(AGENT_BYTES_MAX)])
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    kind: &'a str,
    api_version: &'a str,
    level: &'a str,
    #[serde(rename = "auditID")]
    audit_id: &'a str,
    stage: &'a str,
    #[serde(rename = "requestURI")]
    request_uri: &'a str,
    verb: &'a str,
    user: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    impersonated_user: Option<Value>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "<[String]>::is_empty")]
    source_ips: &'a [String],
    #[serde(skip_serializing_if = "String::is_empty")]
    user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_ref: Option<ObjectRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_object: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_object: Option<Value>,
    request_received_timestamp: String,
    stage_timestamp: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<Cow<'static, str>, String>,
}
