//! What an HTTP answer says.

use cox_api::{
    Header, Listing, Object, Reason, Request, Resource, Response, Status, Verb, WatchEvent, WatchKind,
};
use serde_json::Value;

/// Reads the answer to anything but a watch.
pub(super) fn of(request: &Request, code: u16, bytes: &[u8]) -> Result<Response, Status> {
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    if code >= 400 {
        return Err(failure(code, value.as_ref(), bytes));
    }
    let Some(value) = value else {
        return Err(Status::internal(format!("the answer to {} is no JSON", request.verb.as_str())));
    };
    if request.verb == Verb::List {
        return list(&request.resource, value).map(Response::List);
    }
    // Only what is stored has a version: a Status, a Scale's own form, a token, a review stay values.
    let stored = request.subresource.as_deref().is_none_or(|sub| sub != "scale" && sub != "token")
        && value["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty())
        && value["kind"] != "Status";
    if stored && request.verb != Verb::DeleteCollection {
        return Ok(Response::Object { object: object(&request.resource, &value), created: code == 201 });
    }
    Ok(Response::Value { code, value })
}

fn failure(code: u16, value: Option<&Value>, bytes: &[u8]) -> Status {
    match value {
        Some(value) if value["kind"] == "Status" => {
            let status = Status::from_value(value);
            if status.reason() == Reason::Unknown { reasoned(code, status.message()) } else { status }
        }
        _ => reasoned(code, String::from_utf8_lossy(bytes).trim()),
    }
}

/// A failure that doesn't name its reason, as proxies and panics answer.
fn reasoned(code: u16, message: &str) -> Status {
    let reason = match code {
        400 => Reason::BadRequest,
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        405 => Reason::MethodNotAllowed,
        409 => Reason::Conflict,
        410 => Reason::Gone,
        422 => Reason::Invalid,
        429 => Reason::TooManyRequests,
        503 => Reason::ServiceUnavailable,
        504 => Reason::Timeout,
        500 => Reason::InternalError,
        _ => Reason::Unknown,
    };
    Status::new(code, reason, message)
}

fn object(resource: &Resource, value: &Value) -> Object {
    let fields = cox_api::kinds::by_resource(&resource.group, &resource.version, &resource.plural)
        .map_or_else(Vec::new, |kind| kind.selectable(value));
    Object::new(value, Header::of(value, fields), revision(&value["metadata"]))
}

fn revision(metadata: &Value) -> u64 {
    metadata["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn list(resource: &Resource, mut value: Value) -> Result<Listing, Status> {
    // The items of a list don't repeat what the list says.
    let kind = value["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).map(str::to_owned);
    let api_version = value["apiVersion"].clone();
    let items = match value["items"].take() {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        _ => return Err(Status::internal("the answer to list is no list")),
    };
    let items = items
        .into_iter()
        .map(|mut item| {
            if let (Some(fields), Some(kind)) = (item.as_object_mut(), &kind) {
                fields.entry("kind").or_insert_with(|| kind.as_str().into());
                fields.entry("apiVersion").or_insert_with(|| api_version.clone());
            }
            object(resource, &item)
        })
        .collect();
    let metadata = &value["metadata"];
    Ok(Listing {
        items,
        revision: revision(metadata),
        continue_token: metadata["continue"].as_str().filter(|token| !token.is_empty()).map(str::to_owned),
        remaining: metadata["remainingItemCount"].as_u64(),
    })
}

/// Reads one line of a watch.
pub(super) fn event(resource: &Resource, line: &[u8]) -> Result<WatchEvent, Status> {
    let event: Value = serde_json::from_slice(line).map_err(Status::internal)?;
    let value = &event["object"];
    let kind = match event["type"].as_str().unwrap_or_default() {
        "ADDED" => WatchKind::Added,
        "MODIFIED" => WatchKind::Modified,
        "DELETED" => WatchKind::Deleted,
        "BOOKMARK" => WatchKind::Bookmark,
        "ERROR" => return Err(Status::from_value(value)),
        other => return Err(Status::internal(format!("a watch sent an event of type {other:?}"))),
    };
    let initial_events_end =
        value["metadata"]["annotations"]["k8s.io/initial-events-end"].as_str() == Some("true");
    let revision = revision(&value["metadata"]);
    let object = (kind != WatchKind::Bookmark).then(|| object(resource, value));
    Ok(WatchEvent { kind, revision, object, initial_events_end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pods() -> Resource {
        Resource::new("", "v1", "pods")
    }

    #[test]
    fn items_of_lists_get_their_kind() {
        let body = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "9",
            "continue": "more", "remainingItemCount": 3}, "items": [{"metadata": {"name": "a",
            "namespace": "n", "resourceVersion": "7"}}]});
        let request = Request::new(Verb::List, pods());
        let Ok(Response::List(list)) = of(&request, 200, body.to_string().as_bytes()) else {
            panic!("no list")
        };
        assert_eq!(
            (list.revision, list.remaining, list.continue_token.as_deref()),
            (9, Some(3), Some("more"))
        );
        assert_eq!(list.items[0].revision(), 7);
        assert_eq!(list.items[0].value()["kind"], "Pod");
    }

    #[test]
    fn failures_keep_their_reason() {
        let status = Status::not_found("", "pods", "a").to_value();
        let request = Request::new(Verb::Get, pods()).name("a");
        let error = of(&request, 404, status.to_string().as_bytes()).unwrap_err();
        assert!(error.is_not_found());
        let error = of(&request, 404, b"404 page not found\n").unwrap_err();
        assert_eq!((error.is_not_found(), error.message()), (true, "404 page not found"));
    }

    #[test]
    fn watch_lines() {
        let line = json!({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "12",
            "annotations": {"k8s.io/initial-events-end": "true"}}}});
        let bookmark = event(&pods(), line.to_string().as_bytes()).unwrap();
        assert!(bookmark.initial_events_end && bookmark.object.is_none() && bookmark.revision == 12);
        let line = json!({"type": "ERROR", "object": Status::expired("too old").to_value()});
        assert!(event(&pods(), line.to_string().as_bytes()).unwrap_err().is_expired());
    }
}
