//! What goes along with a request: when it came, where it is counted, what was decided. Whoever still sends its
//! answer keeps it; it is counted when the last one lets go.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cox_api::Status;
use futures::StreamExt;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use jiff::Timestamp;
use serde_json::Value;

use super::info::Info;
use super::reply::Reply;
use crate::audit::{Asked, Payload, Stage, Trail};
use crate::auth::{Attributes, User};
use crate::flow::Flow;
use crate::metrics::{DryRun, Login, Metrics, Place, Scope, Verb};
use crate::server::ApiServer;

/// A request under way. Cloning shares it.
#[derive(Clone)]
pub(super) struct Ticket(Arc<Inner>);

struct Inner {
    server: Arc<ApiServer>,
    /// Since the start of the clock.
    began: Duration,
    /// Where it is counted: nowhere if it asks for what isn't served.
    place: Option<Place>,
    /// A watch or a stream, of which is counted how many there are.
    lasts: bool,
    /// Whether it was let in: what is refused before isn't counted as a request.
    reached: AtomicBool,
    code: AtomicU16,
    bytes: AtomicU64,
    audit_id: HeaderValue,
    /// What the audit log records of it.
    trail: OnceLock<Trail>,
    /// Who asks couldn't show who they are: the log has one event of it.
    nobody: AtomicBool,
    received: Timestamp,
    /// As the audit log sees it: logs last too.
    streams: bool,
    /// What flow control takes it for; nothing where it doesn't look.
    flow: OnceLock<Arc<Flow>>,
    /// How long it waited to be let in, in nanoseconds.
    queued: AtomicU64,
}

/// The number of a request: the client's, or ours.
pub(super) const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The uids of what flow control takes a request for. Its names are none of the client's business.
const FLOW_SCHEMA_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const PRIORITY_LEVEL_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

const UNKNOWN: u64 = u64::MAX;

impl Ticket {
    /// For a request that has just come.
    pub(super) fn new<B>(server: &Arc<ApiServer>, info: &Info, request: &http::Request<B>) -> Ticket {
        let place = place(&server.service().metrics, info, request);
        let log = info.target.as_ref().and_then(|target| target.subresource.as_deref()) == Some("log");
        let given = request.headers().get(AUDIT_ID).filter(|id| !id.is_empty());
        let audit_id = given.cloned().unwrap_or_else(|| {
            HeaderValue::from_bytes(&server.service().ids.next()).unwrap_or(HeaderValue::from_static(""))
        });
        Ticket(Arc::new(Inner {
            server: server.clone(),
            began: server.env().elapsed(),
            place,
            lasts: info.is_long_running() && !log,
            reached: AtomicBool::new(false),
            code: AtomicU16::new(0),
            bytes: AtomicU64::new(UNKNOWN),
            audit_id,
            trail: OnceLock::new(),
            nobody: AtomicBool::new(false),
            received: if server.service().audit.is_some() {
                server.env().now()
            } else {
                Timestamp::UNIX_EPOCH
            },
            streams: info.is_long_running(),
            flow: OnceLock::new(),
            queued: AtomicU64::new(0),
        }))
    }

    fn metrics(&self) -> &Metrics {
        &self.0.server.service().metrics
    }

    /// Who is asked.
    pub(super) fn server(&self) -> &Arc<ApiServer> {
        &self.0.server
    }

    /// When it came, since the start of the clock.
    pub(super) fn began(&self) -> Duration {
        self.0.began
    }

    /// What flow control takes it for.
    pub(super) fn classified(&self, flow: Arc<Flow>) {
        let _ = self.0.flow.set(flow);
    }

    /// How long it waited until it was let in.
    pub(super) fn queued(&self, time: Duration) {
        self.0.queued.store(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Who asks was found out, or not.
    pub(super) fn logged_in(&self, login: Login, name: &str) {
        self.metrics().identity.login(
            login,
            name,
            self.0.server.env().elapsed().saturating_sub(self.0.began),
        );
    }

    /// Begins to record it, if there is a log and its policy wants it. `user` is none for who couldn't show who they
    /// are.
    pub(super) fn record<B>(
        &self,
        user: Option<&User>,
        info: &Info,
        request: &http::Request<B>,
        peer: Option<IpAddr>,
    ) {
        let Some(audit) = &self.0.server.service().audit else { return };
        let asked = Asked {
            audit_id: String::from_utf8_lossy(self.0.audit_id.as_bytes()).into_owned(),
            uri: request.uri().path_and_query().map_or_else(String::new, ToString::to_string),
            sources: sources(request.headers(), peer),
            agent: text(request.headers(), &USER_AGENT).to_owned(),
            version: info.target.as_ref().map_or("", |target| &target.resource.version),
            received: self.0.received,
        };
        let anonymous = User::default();
        let what = info.attributes(user.unwrap_or(&anonymous));
        let Some(trail) = audit.begin(user, &what, asked) else { return };
        match user {
            Some(_) => trail.reached(Stage::RequestReceived),
            None => {
                self.0.nobody.store(true, Ordering::Relaxed);
                trail.status(&serde_json::json!({"message": attempted(request.headers())}));
            }
        }
        if info.target.as_ref().is_some_and(|target| {
            let resource = &target.resource;
            crate::core::facts::warning_of_use(&resource.group, &resource.version, &resource.plural).is_some()
        }) {
            trail.annotate("k8s.io/deprecated", "true");
        }
        let _ = self.0.trail.set(trail);
    }

    /// What is recorded of it.
    fn trail(&self) -> Option<&Trail> {
        self.0.trail.get()
    }

    /// The user acts as somebody else.
    pub(super) fn impersonates(&self, user: &User) {
        self.trail().inspect(|trail| trail.impersonates(user));
    }

    /// Admission has something for the audit log.
    pub(super) fn annotate(&self, annotations: Vec<(String, String)>) {
        if let Some(trail) = self.trail() {
            for (key, value) in annotations {
                trail.annotate(key, &value);
            }
        }
    }

    /// What came with it.
    pub(super) fn body(&self, media_type: &str, bytes: &Bytes, is_patch: bool) {
        if let Some(trail) = self.trail() {
            trail.request(Payload {
                media_type: media_type.to_owned(),
                bytes: vec![bytes.clone()],
                is_patch,
            });
        }
    }

    /// The answer is a Status.
    pub(super) fn status(&self, status: impl FnOnce() -> Value) {
        if let Some(trail) = self.trail()
            && !self.0.nobody.load(Ordering::Relaxed)
        {
            trail.status(&status());
        }
    }

    /// Asks whether the user may.
    ///
    /// # Errors
    /// 403.
    pub(super) fn authorize(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let env = self.0.server.env();
        let began = env.elapsed();
        let decision = self.0.server.authorizer().decide(attributes);
        self.metrics().identity.decision(decision.allowed, env.elapsed().saturating_sub(began));
        self.trail().inspect(|trail| trail.decided(decision.allowed, &decision.reason));
        if !decision.allowed {
            return Err(attributes.refusal(&decision.reason));
        }
        if !self.0.reached.swap(true, Ordering::Relaxed)
            && self.0.lasts
            && let Some(place) = self.0.place
        {
            self.metrics().requests.long_running(place, 1);
        }
        Ok(())
    }

    /// The server ends it to protect itself: 429 or 504.
    pub(super) fn terminated(&self, code: u16) {
        self.0.reached.store(true, Ordering::Relaxed);
        if let Some(place) = self.0.place {
            self.metrics().requests.terminated(place, code);
        }
    }

    /// An event is sent in the watch that it asks for.
    pub(super) fn watch_event(&self, bytes: usize) {
        if let Some(place) = self.0.place {
            self.metrics().requests.watch_event(place, bytes as u64);
        }
    }

    /// The answer is made, and not yet compressed.
    pub(super) fn made(&self, answer: &mut http::Response<Reply>) {
        // A client's name for the request comes back with its answer; whom it was passed on to may have named it.
        if !answer.headers().contains_key(AUDIT_ID) {
            answer.headers_mut().insert(AUDIT_ID, self.0.audit_id.clone());
        }
        if let Some(flow) = self.0.flow.get() {
            let headers = answer.headers_mut();
            headers.insert(FLOW_SCHEMA_UID, flow.schema_uid().clone());
            headers.insert(PRIORITY_LEVEL_UID, flow.level_uid().clone());
        }
        let Some(trail) = self.trail() else { return };
        trail.code(answer.status().as_u16());
        if self.0.streams || self.0.nobody.load(Ordering::Relaxed) {
            trail.reached(Stage::ResponseStarted);
        } else if trail.wants_response() {
            let media_type = text(answer.headers(), &CONTENT_TYPE).to_owned();
            match answer.body_mut() {
                Reply::Whole(bytes) => trail.response(&media_type, bytes),
                Reply::Pieces(pieces, ..) => {
                    let ticket = self.clone();
                    let sent = std::mem::replace(pieces, futures::stream::empty().boxed());
                    let seen = move |piece: &Bytes| {
                        ticket.trail().inspect(|trail| trail.response(&media_type, piece));
                    };
                    *pieces = sent.inspect(seen).boxed();
                }
                Reply::Passed(..) => {}
            }
        }
    }

    /// The answer goes out.
    pub(super) fn answered(&self, answer: &http::Response<Reply>) {
        self.0.code.store(answer.status().as_u16(), Ordering::Relaxed);
        if let Some(bytes) = answer.body().length() {
            self.0.bytes.store(bytes, Ordering::Relaxed);
        }
    }
}

impl Inner {
    /// The last event in the audit log.
    fn record_end(&mut self) {
        let Some(trail) = self.trail.get() else { return };
        if std::thread::panicking() {
            trail.panicked();
            return trail.reached(Stage::Panic);
        }
        if *self.nobody.get_mut() {
            return;
        }
        if *self.code.get_mut() == 0 {
            trail.closed_early();
            if self.streams {
                trail.reached(Stage::ResponseStarted);
            }
        }
        trail.reached(Stage::ResponseComplete);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.record_end();
        let (Some(place), true) = (self.place, *self.reached.get_mut()) else { return };
        let requests = &self.server.service().metrics.requests;
        if self.lasts {
            requests.long_running(place, -1);
        }
        let bytes = Some(*self.bytes.get_mut()).filter(|bytes| *bytes != UNKNOWN);
        let time = self.server.env().elapsed().saturating_sub(self.began);
        let code = *self.code.get_mut();
        // Without a code the client was gone before there was an answer.
        if code != 0 {
            let queued = Duration::from_nanos(*self.queued.get_mut());
            requests.answered(place, code, time, queued, bytes);
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Where a request comes from: what proxies say of it, and the last of them.
fn sources(headers: &HeaderMap, peer: Option<IpAddr>) -> Vec<String> {
    let forwarded = text(headers, &HeaderName::from_static("x-forwarded-for"));
    let real = text(headers, &HeaderName::from_static("x-real-ip"));
    let mut sources: Vec<IpAddr> = forwarded.split(',').filter_map(|ip| ip.trim().parse().ok()).collect();
    if let Ok(real) = real.trim().parse()
        && !sources.contains(&real)
    {
        sources.push(real);
    }
    if let Some(peer) = peer
        && sources.last() != Some(&peer)
    {
        sources.push(peer);
    }
    sources.iter().map(ToString::to_string).collect()
}

/// What somebody showed in vain, in upstream's words.
fn attempted(headers: &HeaderMap) -> String {
    let authorization = text(headers, &http::header::AUTHORIZATION).to_lowercase();
    let method = ["basic", "bearer"].into_iter().find(|method| authorization.starts_with(method));
    match method {
        Some(method) => format!("Authentication failed, attempted: {method}"),
        None => "Authentication failed, no credentials provided".to_owned(),
    }
}

/// Where a request is counted.
fn place<B>(metrics: &Metrics, info: &Info, request: &http::Request<B>) -> Option<Place> {
    let Some(target) = &info.target else {
        return metrics.requests.path(&info.path, verb(info, request, Scope::None));
    };
    let scope = if target.name.is_some() || *request.method() == Method::POST {
        Scope::Resource
    } else if target.namespace.is_some() {
        Scope::Namespace
    } else {
        Scope::Cluster
    };
    let mut dry_run = DryRun::No;
    for value in info.query.all("dryRun") {
        dry_run = if value == "All" && dry_run != DryRun::Invalid { DryRun::All } else { DryRun::Invalid };
    }
    let subresource = target.subresource.as_deref().unwrap_or_default();
    metrics.requests.resource(&target.resource, subresource, verb(info, request, scope), scope, dry_run)
}

fn verb<B>(info: &Info, request: &http::Request<B>, scope: Scope) -> Verb {
    let sub = info.target.as_ref().and_then(|target| target.subresource.as_deref());
    if matches!(sub, Some("log" | "exec" | "portforward" | "attach" | "proxy")) {
        return Verb::Connect;
    }
    if info.verb == "watch" {
        return Verb::Watch;
    }
    match *request.method() {
        Method::GET | Method::HEAD if matches!(scope, Scope::Namespace | Scope::Cluster) => Verb::List,
        Method::GET | Method::HEAD => Verb::Get,
        Method::POST => Verb::Post,
        Method::PUT => Verb::Put,
        Method::PATCH => {
            let media_type = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
            if media_type == Some(b"application/apply-patch+yaml") { Verb::Apply } else { Verb::Patch }
        }
        Method::DELETE => Verb::Delete,
        _ => Verb::Other,
    }
}
