//! `metav1.Status`: how every failure looks at the edge of the API.
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>

use std::fmt;

use serde_json::{Map, Value, json};

use crate::field::FieldError;

/// Why a request failed, in upstream's words (`metav1.StatusReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reason {
    /// No reason is given: the field is left out.
    Unknown,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    StoreReadError,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
}

impl Reason {
    /// The word on the wire; empty for [`Reason::Unknown`].
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unknown => "",
            Reason::Unauthorized => "Unauthorized",
            Reason::Forbidden => "Forbidden",
            Reason::NotFound => "NotFound",
            Reason::AlreadyExists => "AlreadyExists",
            Reason::Conflict => "Conflict",
            Reason::Gone => "Gone",
            Reason::Invalid => "Invalid",
            Reason::ServerTimeout => "ServerTimeout",
            Reason::StoreReadError => "StorageReadError",
            Reason::Timeout => "Timeout",
            Reason::TooManyRequests => "TooManyRequests",
            Reason::BadRequest => "BadRequest",
            Reason::MethodNotAllowed => "MethodNotAllowed",
            Reason::NotAcceptable => "NotAcceptable",
            Reason::RequestEntityTooLarge => "RequestEntityTooLarge",
            Reason::UnsupportedMediaType => "UnsupportedMediaType",
            Reason::InternalError => "InternalError",
            Reason::Expired => "Expired",
            Reason::ServiceUnavailable => "ServiceUnavailable",
        }
    }

    /// The reason of a word on the wire.
    pub fn parse(word: &str) -> Reason {
        use Reason::*;
        [
            Unauthorized,
            Forbidden,
            NotFound,
            AlreadyExists,
            Conflict,
            Gone,
            Invalid,
            ServerTimeout,
            StoreReadError,
            Timeout,
            TooManyRequests,
            BadRequest,
            MethodNotAllowed,
            NotAcceptable,
            RequestEntityTooLarge,
            UnsupportedMediaType,
            InternalError,
            Expired,
            ServiceUnavailable,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == word)
        .unwrap_or(Unknown)
    }
}

/// A failed request. Boxed inside, so that a `Result` stays small.
#[derive(Clone, Debug, PartialEq)]
pub struct Status(Box<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    code: u16,
    reason: Reason,
    message: String,
    details: Option<Value>,
    continue_token: Option<String>,
}

impl Status {
    /// A failure with an HTTP code, a reason and a message, and nothing in `details`.
    pub fn new(code: u16, reason: Reason, message: impl Into<String>) -> Status {
        Status(Box::new(Inner { code, reason, message: message.into(), details: None, continue_token: None }))
    }

    /// Adds `details`, an object of `metav1.StatusDetails`.
    pub fn with_details(mut self, details: Value) -> Status {
        self.0.details = Some(details);
        self
    }

    /// Adds `metadata.continue`: where a list whose snapshot is gone can go on without consistency.
    pub fn with_continue(mut self, token: String) -> Status {
        self.0.continue_token = Some(token);
        self
    }

    /// 404 for an object: `pods "web" not found`. `resource` is `pods` or `deployments.apps`.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Status {
        Status::new(404, Reason::NotFound, format!("{} \"{name}\" not found", qualified(group, resource)))
            .with_details(subject(group, resource, name))
    }

    /// 404 for a path that nothing serves.
    pub fn no_such_path() -> Status {
        Status::new(404, Reason::NotFound, "the server could not find the requested resource")
            .with_details(json!({}))
    }

    /// 409 for a name that is taken.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Status {
        Status::new(
            409,
            Reason::AlreadyExists,
            format!("{} \"{name}\" already exists", qualified(group, resource)),
        )
        .with_details(subject(group, resource, name))
    }

    /// 409 for a write against something that has changed.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Status {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(group, resource));
        Status::new(409, Reason::Conflict, message).with_details(subject(group, resource, name))
    }

    /// 403 for an object: `pods "web" is forbidden: WHY`.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Status {
        let what = qualified(group, resource);
        let message = if name.is_empty() {
            format!("{what} is forbidden: {why}")
        } else {
            format!("{what} \"{name}\" is forbidden: {why}")
        };
        Status::new(403, Reason::Forbidden, message).with_details(subject(group, resource, name))
    }

    /// 400 with upstream's reason `BadRequest`.
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::new(400, Reason::BadRequest, message)
    }

    /// 401.
    pub fn unauthorized() -> Status {
        Status::new(401, Reason::Unauthorized, "Unauthorized")
    }

    /// 405 for a verb that a resource doesn't have.
    pub fn method_not_allowed(group: &str, resource: &str, verb: &str) -> Status {
        let message = if group.is_empty() && resource.is_empty() {
            "the server does not allow this method on the requested resource".to_owned()
        } else {
            format!("{verb} is not supported on resources of kind \"{}\"", qualified(group, resource))
        };
        let mut details = Map::new();
        put(&mut details, "group", group);
        put(&mut details, "kind", resource);
        Status::new(405, Reason::MethodNotAllowed, message).with_details(Value::Object(details))
    }

    /// 500 with the text of what went wrong.
    pub fn internal(message: impl fmt::Display) -> Status {
        Status::new(500, Reason::InternalError, format!("Internal error occurred: {message}"))
            .with_details(json!({"causes": [{"message": message.to_string()}]}))
    }

    /// 410 for a revision whose history is gone.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::new(410, Reason::Expired, message)
    }

    /// 422 for field errors: `Deployment.apps "web" is invalid: spec.selector: Required value`.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Status {
        let texts: Vec<String> = {
            let mut seen = Vec::new();
            for text in errors.iter().map(ToString::to_string) {
                if !seen.contains(&text) {
                    seen.push(text);
                }
            }
            seen
        };
        let text = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {text}", qualified(group, kind));
        let mut details = Map::new();
        put(&mut details, "name", name);
        put(&mut details, "group", group);
        put(&mut details, "kind", kind);
        let causes: Vec<Value> = errors
            .iter()
            .map(
                |error| json!({"reason": error.kind.reason(), "message": error.body(), "field": error.field}),
            )
            .collect();
        details.insert("causes".into(), Value::Array(causes));
        Status::new(422, Reason::Invalid, message).with_details(Value::Object(details))
    }

    /// The HTTP code.
    pub fn code(&self) -> u16 {
        self.0.code
    }

    /// The machine-readable reason.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// `metav1.StatusDetails`, where there are any.
    pub fn details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    /// The object on the wire.
    pub fn to_value(&self) -> Value {
        let mut status = Map::new();
        status.insert("kind".into(), "Status".into());
        status.insert("apiVersion".into(), "v1".into());
        let metadata = match &self.0.continue_token {
            Some(token) => json!({"continue": token}),
            None => json!({}),
        };
        status.insert("metadata".into(), metadata);
        status.insert("status".into(), "Failure".into());
        put(&mut status, "message", &self.0.message);
        put(&mut status, "reason", self.0.reason.as_str());
        if let Some(details) = &self.0.details {
            status.insert("details".into(), details.clone());
        }
        status.insert("code".into(), self.0.code.into());
        Value::Object(status)
    }

    /// Reads a `Status` object that another server sent.
    pub fn from_value(value: &Value) -> Status {
        let code = value
            .get("code")
            .and_then(Value::as_u64)
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or(500);
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut status = Status::new(code, Reason::parse(text("reason")), text("message"));
        status.0.details = value.get("details").cloned();
        status
    }

    /// Whether the object wasn't there.
    pub fn is_not_found(&self) -> bool {
        self.0.reason == Reason::NotFound
    }

    /// Whether the write met a newer version.
    pub fn is_conflict(&self) -> bool {
        self.0.reason == Reason::Conflict
    }

    /// Whether the name was taken.
    pub fn is_already_exists(&self) -> bool {
        self.0.reason == Reason::AlreadyExists
    }

    /// Whether the history asked for is gone and a new list is needed.
    pub fn is_expired(&self) -> bool {
        matches!(self.0.reason, Reason::Expired | Reason::Gone)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Status {}

/// `pods`, or `deployments.apps` for a resource (or kind) of a named group.
pub fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn subject(group: &str, resource: &str, name: &str) -> Value {
    let mut details = Map::new();
    put(&mut details, "name", name);
    put(&mut details, "group", group);
    put(&mut details, "kind", resource);
    Value::Object(details)
}

fn put(map: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        map.insert(key.into(), text.into());
    }
}
