//! The audit log: who asked for what, when, and what came of it, as lines of `audit.k8s.io/v1` Events.
//! Source: <https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/>

mod event;
mod file;
mod id;
mod local;
mod log;
mod policy;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cox_env::Env;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::auth::{Attributes, User};
use crate::error::Error;
use event::{BODY_BYTES_MAX, Event, Head, Tail};
use log::Log;

pub use file::LogFile;
pub use policy::Policy;

pub(crate) use event::{ObjectRef, Payload};
pub(crate) use id::Ids;
pub(crate) use local::call as call_recorded;
pub(crate) use log::Counts;
pub(crate) use policy::{Level, Stage};

/// What the audit log is told at start.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// Which requests are recorded, and how much of them.
    pub policy: Policy,
    /// Where.
    pub file: LogFile,
}

/// The audit log of a server.
pub(crate) struct Audit {
    env: Env,
    policy: Policy,
    log: Log,
    levels: [AtomicU64; Level::ALL.len()],
}

/// A request as it came, for the log.
pub(crate) struct Asked<'a> {
    pub(crate) audit_id: String,
    pub(crate) uri: String,
    pub(crate) sources: Vec<String>,
    pub(crate) agent: String,
    pub(crate) version: &'a str,
    pub(crate) received: Timestamp,
}

/// What is recorded of one request.
pub(crate) struct Trail {
    audit: Arc<Audit>,
    head: Arc<Head>,
    omit_stages: Vec<Stage>,
    tail: Mutex<Tail>,
}

impl Audit {
    /// Opens the log.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub(crate) fn open(env: &Env, config: &AuditConfig) -> Result<Arc<Audit>, Error> {
        let path = config.file.path.display().to_string();
        let log = Log::open(env, config.file.clone())
            .map_err(|error| Error::Config { field: "audit-log-path", reason: format!("{path}: {error}") })?;
        let levels = [const { AtomicU64::new(0) }; Level::ALL.len()];
        Ok(Arc::new(Audit { env: env.clone(), policy: config.policy.clone(), log, levels }))
    }

    /// Begins to record a request, if the policy wants it. `user` is none for who couldn't show who they are; who
    /// `attributes` names then doesn't matter.
    pub(crate) fn begin(
        self: &Arc<Self>,
        user: Option<&User>,
        what: &Attributes<'_>,
        asked: Asked<'_>,
    ) -> Option<Trail> {
        let verdict = self.policy.judge(user, what);
        self.levels[verdict.level as usize].fetch_add(1, Ordering::Relaxed);
        if verdict.level == Level::None {
            return None;
        }
        let object = (!what.resource.is_empty()).then(|| ObjectRef {
            resource: what.resource.to_owned(),
            namespace: what.namespace.to_owned(),
            name: what.name.to_owned(),
            api_group: what.group.to_owned(),
            api_version: asked.version.to_owned(),
            subresource: what.subresource.to_owned(),
            ..ObjectRef::default()
        });
        let head = Head {
            level: verdict.level,
            omit_managed_fields: verdict.omit_managed_fields,
            audit_id: asked.audit_id,
            uri: asked.uri,
            verb: what.verb.to_owned(),
            user: user.cloned(),
            sources: asked.sources,
            agent: asked.agent,
            object,
            received: asked.received,
        };
        let tail = Mutex::new(Tail::default());
        Some(Trail { audit: self.clone(), head: Arc::new(head), omit_stages: verdict.omit_stages, tail })
    }

    /// How often each level was chosen, and what has become of events.
    pub(crate) fn counts(&self) -> ([(&'static str, u64); Level::ALL.len()], &Counts) {
        let levels =
            Level::ALL.map(|level| (level.as_str(), self.levels[level as usize].load(Ordering::Relaxed)));
        (levels, self.log.counts())
    }

    /// Waits until everything is written; what comes afterwards is dropped.
    pub(crate) fn close(&self) {
        self.log.close();
    }
}

impl Trail {
    /// Whether what is answered is recorded.
    pub(crate) fn wants_response(&self) -> bool {
        self.head.level == Level::RequestResponse
    }

    /// The request has reached a stage.
    pub(crate) fn reached(&self, stage: Stage) {
        if !self.omit_stages.contains(&stage) {
            let tail = self.tail.lock().clone();
            self.audit.log.put(Event { head: self.head.clone(), tail, stage, at: self.audit.env.now() });
        }
    }

    /// The user acts as somebody else.
    pub(crate) fn impersonates(&self, user: &User) {
        self.tail.lock().impersonated = Some(user.clone());
    }

    /// It was decided whether the user may.
    pub(crate) fn decided(&self, allowed: bool, reason: &str) {
        let mut tail = self.tail.lock();
        let decision = if allowed { "allow" } else { "forbid" };
        tail.annotations.insert("authorization.k8s.io/decision".into(), decision.into());
        tail.annotations.insert("authorization.k8s.io/reason".into(), reason.into());
    }

    /// Something else that is worth to be known.
    pub(crate) fn annotate(&self, key: impl Into<Cow<'static, str>>, value: &str) {
        self.tail.lock().annotations.insert(key.into(), value.into());
    }

    /// What came with the request. It is kept on every level: the name of a new object stands in it.
    pub(crate) fn request(&self, body: Payload) {
        self.tail.lock().request = Some(body);
    }

    /// A `Status` is the answer.
    pub(crate) fn status(&self, status: &Value) {
        let kept = ["status", "message", "reason", "details", "code"];
        let kept = kept.into_iter().filter_map(|key| Some((key.to_owned(), status.get(key)?.clone())));
        self.tail.lock().status = kept.collect();
    }

    /// The HTTP code of the answer.
    pub(crate) fn code(&self, code: u16) {
        self.tail.lock().status.insert("code".into(), code.into());
    }

    /// There was no answer: the client was gone.
    pub(crate) fn closed_early(&self) {
        let status = [
            ("code", 200.into()),
            ("status", "Success".into()),
            ("message", "Connection closed early".into()),
        ];
        self.tail.lock().status =
            status.into_iter().map(|(key, value): (_, Value)| (key.to_owned(), value)).collect();
    }

    /// The server panicked.
    pub(crate) fn panicked(&self) {
        let status: Map<String, Value> = [
            ("code", 500.into()),
            ("status", "Failure".into()),
            ("reason", "InternalError".into()),
            ("message", Value::from("APIServer panic'd")),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        self.tail.lock().status = status;
    }

    /// A piece of the answer. Beyond the limit of an event no more is kept than is needed to see that it is.
    pub(crate) fn response(&self, media_type: &str, piece: &Bytes) {
        let mut tail = self.tail.lock();
        let payload = tail.response.get_or_insert_with(|| Payload {
            media_type: media_type.to_owned(),
            bytes: Vec::new(),
            is_patch: false,
        });
        if payload.len() <= BODY_BYTES_MAX {
            payload.bytes.push(piece.clone());
        }
    }
}
