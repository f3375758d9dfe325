//! The form of a call to the API, the same in process and across machines.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde_json::Value;

use crate::object::Object;
use crate::status::Status;

/// What is asked of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// The word that RBAC and discovery use.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }

    /// Whether the verb leaves everything as it is.
    pub fn is_read(self) -> bool {
        matches!(self, Verb::Get | Verb::List | Verb::Watch)
    }
}

/// A resource as it stands in a path: group, version and plural name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    /// As in `v1`.
    pub version: String,
    /// As in `pods`.
    pub plural: String,
}

impl Resource {
    /// Names a resource.
    pub fn new(group: impl Into<String>, version: impl Into<String>, plural: impl Into<String>) -> Resource {
        Resource { group: group.into(), version: version.into(), plural: plural.into() }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::status::qualified(&self.group, &self.plural))
    }
}

/// The form of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902, `application/json-patch+json`.
    Json,
    /// RFC 7386, `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
    /// Server-side apply, `application/apply-patch+yaml`.
    Apply,
}

/// What a call carries.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// An object, decoded.
    Json(Value),
    /// A patch, decoded (JSON, or YAML for apply).
    Patch(PatchKind, Value),
    /// Bytes as they came, with their media type; the API server's core decodes them by the schema table.
    Raw {
        /// As in the request's `Content-Type`.
        media_type: String,
        /// The body.
        bytes: Bytes,
    },
}

/// The parameters of a call (`metav1.ListOptions`, `CreateOptions`, `PatchOptions`, `DeleteOptions`).
/// Absent means that the client didn't say.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Options {
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
    pub limit: Option<u64>,
    pub continue_token: Option<String>,
    pub resource_version: Option<String>,
    pub resource_version_match: Option<String>,
    pub send_initial_events: Option<bool>,
    pub allow_watch_bookmarks: bool,
    /// Seconds until a watch ends by itself.
    pub timeout_seconds: Option<u64>,
    pub dry_run: bool,
    /// All that `dryRun` said, where a part of it is nothing that's known.
    pub unknown_dry_run: Vec<String>,
    pub field_manager: Option<String>,
    /// `Ignore`, `Warn` or `Strict`.
    pub field_validation: Option<String>,
    pub force: Option<bool>,
    /// `metav1.DeleteOptions`, where given as parameters; a body wins over it.
    pub grace_period_seconds: Option<i64>,
    pub propagation_policy: Option<String>,
    pub orphan_dependents: Option<bool>,
    pub ignore_store_read_error: bool,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub verb: Verb,
    /// Of which resource.
    pub resource: Resource,
    /// In which namespace; none for resources without namespaces and for all namespaces.
    pub namespace: Option<String>,
    /// Of which object.
    pub name: Option<String>,
    /// As in `status`.
    pub subresource: Option<String>,
    /// The parameters.
    pub options: Options,
    /// The object or patch.
    pub body: Body,
}

impl Request {
    /// A call with nothing but a verb and a resource.
    pub fn new(verb: Verb, resource: Resource) -> Request {
        Request {
            verb,
            resource,
            namespace: None,
            name: None,
            subresource: None,
            options: Options::default(),
            body: Body::None,
        }
    }

    /// In a namespace; an empty one means none.
    pub fn namespace(mut self, namespace: &str) -> Request {
        self.namespace = (!namespace.is_empty()).then(|| namespace.to_owned());
        self
    }

    /// Of an object.
    pub fn name(mut self, name: &str) -> Request {
        self.name = Some(name.to_owned());
        self
    }

    /// Of a subresource.
    pub fn subresource(mut self, subresource: &str) -> Request {
        self.subresource = Some(subresource.to_owned());
        self
    }

    /// With a body.
    pub fn body(mut self, body: Body) -> Request {
        self.body = body;
        self
    }
}

/// A list as the store saw it at one revision.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The objects, by namespace and name.
    pub items: Vec<Object>,
    /// The revision of the list.
    pub revision: u64,
    /// Where to go on, if there is more.
    pub continue_token: Option<String>,
    /// How many more there are, where that is known.
    pub remaining: Option<u64>,
}

/// What happened to an object of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum WatchKind {
    Added,
    Modified,
    Deleted,
    /// Everything up to the revision has been sent.
    Bookmark,
}

impl WatchKind {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            WatchKind::Added => "ADDED",
            WatchKind::Modified => "MODIFIED",
            WatchKind::Deleted => "DELETED",
            WatchKind::Bookmark => "BOOKMARK",
        }
    }
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchKind,
    /// The revision of the event.
    pub revision: u64,
    /// The object after the event (the last state for [`WatchKind::Deleted`]); none for bookmarks.
    pub object: Option<Object>,
    /// A bookmark that ends the initial events of a streaming list (`k8s.io/initial-events-end`).
    pub initial_events_end: bool,
}

/// A watch: events until the stream ends; an error is its last item.
pub type Watch = BoxStream<'static, Result<WatchEvent, Status>>;

/// What a call brings.
pub enum Response {
    /// An object that is stored. `created` tells 201 from 200.
    Object {
        /// The object.
        object: Object,
        /// Whether the call made it.
        created: bool,
    },
    /// Something that isn't stored as it is: a Scale, a token, a review, a Status; with its HTTP code.
    Value {
        /// The HTTP code.
        code: u16,
        /// The object.
        value: Value,
    },
    /// A list.
    List(Listing),
    /// A watch.
    Watch(Watch),
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Response::Object { object, created } => write!(f, "Object({object:?}, created: {created})"),
            Response::Value { code, value } => write!(f, "Value({code}, {value})"),
            Response::List(list) => write!(f, "List({} at {})", list.items.len(), list.revision),
            Response::Watch(_) => f.write_str("Watch"),
        }
    }
}

/// A way to the API: in process, or over HTTPS.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Makes a call.
    ///
    /// # Errors
    /// The API server's `Status`; `InternalError` or `ServiceUnavailable` where there was no answer.
    async fn call(&self, request: Request) -> Result<Response, Status>;
}
