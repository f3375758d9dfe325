//! Calls of the parts of this process: they are recorded as those over HTTP are, but come from no address.

use std::sync::Arc;

use bytes::Bytes;
use cox_api::{Body, PatchKind, Request, Response, Status, Verb};
use futures::StreamExt;

use super::{Asked, Audit, Payload, Stage, Trail};
use crate::auth::{Attributes, User};
use crate::server::{ApiServer, Aside};

/// Answers a call and records it.
pub(crate) async fn call(
    server: &ApiServer,
    audit: &Arc<Audit>,
    user: &User,
    request: Request,
) -> Result<Response, Status> {
    let attributes = Attributes::call(user, &request);
    let asked = Asked {
        audit_id: String::from_utf8_lossy(&server.service().ids.next()).into_owned(),
        uri: uri(&request),
        sources: Vec::new(),
        agent: request.options.field_manager.clone().unwrap_or_default(),
        version: &request.resource.version,
        received: server.env().now(),
    };
    let Some(trail) = audit.begin(Some(user), &attributes, asked) else {
        return server.call(user, request).await.map(|answer| answer.response);
    };
    trail.reached(Stage::RequestReceived);
    // From here on it has an end, also if the caller doesn't wait for it.
    let mut recorded = Recorded { trail, answered: false };
    let decision = server.authorizer().decide(&attributes);
    recorded.trail.decided(decision.allowed, &decision.reason);
    let refusal = (!decision.allowed).then(|| attributes.refusal(&decision.reason));
    if let Some(body) = payload(&request.body) {
        recorded.trail.request(body);
    }
    let result = match refusal {
        Some(status) => Err(status),
        None => {
            let mut aside = Aside::default();
            let answered = server.answer(user, request, &mut aside).await;
            for (key, value) in aside.annotations {
                recorded.trail.annotate(key, &value);
            }
            answered
        }
    };
    recorded.answered = true;
    let trail = &recorded.trail;
    match result {
        Err(status) => {
            trail.status(&status.to_value());
            Err(status)
        }
        Ok(Response::Object { object, created }) => {
            trail.code(if created { 201 } else { 200 });
            if trail.wants_response() {
                trail.response("application/json", &Bytes::from(object.value().to_string()));
            }
            Ok(Response::Object { object, created })
        }
        Ok(Response::Value { code, value }) => {
            if value["kind"] == "Status" {
                trail.status(&value);
            }
            trail.code(code);
            if trail.wants_response() {
                trail.response("application/json", &Bytes::from(value.to_string()));
            }
            Ok(Response::Value { code, value })
        }
        Ok(Response::Watch(watch)) => {
            trail.code(200);
            trail.reached(Stage::ResponseStarted);
            let kept = move |_: &_| {
                let _ = &recorded;
            };
            Ok(Response::Watch(watch.inspect(kept).boxed()))
        }
        // Informers list everything: what is in it stands in the log where it was written.
        Ok(list @ Response::List(_)) => {
            trail.code(200);
            Ok(list)
        }
    }
}

/// A call whose end is recorded when this is dropped.
struct Recorded {
    trail: Trail,
    answered: bool,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if !self.answered {
            self.trail.closed_early();
        }
        self.trail.reached(Stage::ResponseComplete);
    }
}

fn payload(body: &Body) -> Option<Payload> {
    let (media_type, bytes, is_patch) = match body {
        Body::None => return None,
        Body::Json(value) => ("application/json", Bytes::from(value.to_string()), false),
        Body::Patch(PatchKind::Apply, value) => {
            ("application/apply-patch+yaml", Bytes::from(value.to_string()), true)
        }
        Body::Patch(_, value) => ("application/json", Bytes::from(value.to_string()), true),
        Body::Raw { media_type, bytes } => (media_type.as_str(), bytes.clone(), false),
    };
    Some(Payload { media_type: media_type.to_owned(), bytes: vec![bytes], is_patch })
}

/// The path that the call would have over HTTP.
fn uri(request: &Request) -> String {
    let resource = &request.resource;
    let mut uri = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    // The path of a namespace has it once.
    if let Some(namespace) = request.namespace.as_ref().filter(|_| resource.plural != "namespaces") {
        uri.push_str(&format!("/namespaces/{namespace}"));
    }
    for part in
        [Some(&resource.plural), request.name.as_ref(), request.subresource.as_ref()].into_iter().flatten()
    {
        uri.push('/');
        uri.push_str(part);
    }
    if request.verb == Verb::Watch {
        uri.push_str("?watch=true");
    }
    uri
}
