//! What goes along with a request: when it came, where it is counted, what was decided. Whoever still sends its
//! answer keeps it; it is counted when the last one lets go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use cox_api::Status;
use http::Method;
use http::header::CONTENT_TYPE;

use super::info::Info;
use super::reply::Reply;
use crate::auth::Attributes;
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
}

const UNKNOWN: u64 = u64::MAX;

impl Ticket {
    /// For a request that has just come.
    pub(super) fn new<B>(server: &Arc<ApiServer>, info: &Info, request: &http::Request<B>) -> Ticket {
        let place = place(&server.service().metrics, info, request);
        let log = info.target.as_ref().and_then(|target| target.subresource.as_deref()) == Some("log");
        Ticket(Arc::new(Inner {
            server: server.clone(),
            began: server.env().elapsed(),
            place,
            lasts: info.is_long_running() && !log,
            reached: AtomicBool::new(false),
            code: AtomicU16::new(0),
            bytes: AtomicU64::new(UNKNOWN),
        }))
    }

    fn metrics(&self) -> &Metrics {
        &self.0.server.service().metrics
    }

    /// When it came, since the start of the clock.
    pub(super) fn began(&self) -> Duration {
        self.0.began
    }

    /// Who asks was found out, or not.
    pub(super) fn logged_in(&self, login: Login, name: &str) {
        self.metrics().identity.login(
            login,
            name,
            self.0.server.env().elapsed().saturating_sub(self.0.began),
        );
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

    /// The answer is made.
    pub(super) fn answered(&self, answer: &http::Response<Reply>) {
        self.0.code.store(answer.status().as_u16(), Ordering::Relaxed);
        if let Some(bytes) = answer.body().length() {
            self.0.bytes.store(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
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
            requests.answered(place, code, time, bytes);
        }
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
