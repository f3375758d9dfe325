//! Takes events without waiting and writes them in the background.

use cox_api::PatchKind;
use cox_env::Env;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use serde_json::json;
use tokio::sync::mpsc;

use super::EventType;
use super::correlate::{Correlator, Decision, Identity};
use crate::client::Client;
use crate::kind::Kind;

/// Events waiting to be written; more are dropped, as upstream's broadcaster does when its queue is full.
const WAITING_MAX: usize = 1000;
/// Tries of one write, as upstream's `maxTriesPerEvent`, and the pause between them.
const TRIES_MAX: u32 = 12;
const TRY_PAUSE: std::time::Duration = std::time::Duration::from_secs(10);

/// Records events of one component. Cloning shares it.
#[derive(Clone)]
pub struct EventRecorder {
    sender: mpsc::Sender<Waiting>,
    env: Env,
}

struct Waiting {
    about: ObjectReference,
    related: Option<ObjectReference>,
    kind: EventType,
    reason: &'static str,
    message: String,
    at: jiff::Timestamp,
    /// Upstream's newer events API: a component that names the action, and no repetition counts.
    action: Option<&'static str>,
}

impl EventRecorder {
    /// A recorder for `component` (as in `deployment-controller`) on `host` (the node's name for kubelets, else
    /// empty).
    pub fn new(client: Client, env: &Env, component: &str, host: &str) -> EventRecorder {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let writer = Writer {
            client,
            env: env.clone(),
            component: component.to_owned(),
            host: host.to_owned(),
            correlator: Correlator::default(),
        };
        env.spawn(writer.run(receiver));
        EventRecorder { sender, env: env.clone() }
    }

    /// Records an event about an object.
    pub fn event<T: Kind>(
        &self,
        about: &T,
        kind: EventType,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.event_about(reference(about), kind, reason, message);
    }

    /// Records an event about whatever is referred to, as in a container by its field path.
    pub fn event_about(
        &self,
        about: ObjectReference,
        kind: EventType,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.put(Waiting {
            about,
            related: None,
            kind,
            reason,
            message: message.into(),
            at: self.env.now(),
            action: None,
        });
    }

    /// Records an event the way of upstream's newer events API (`events.k8s.io`): with an action, an `eventTime`
    /// and perhaps a related object.
    pub fn action(
        &self,
        about: ObjectReference,
        related: Option<ObjectReference>,
        kind: EventType,
        reason: &'static str,
        action: &'static str,
        message: impl Into<String>,
    ) {
        self.put(Waiting {
            about,
            related,
            kind,
            reason,
            message: message.into(),
            at: self.env.now(),
            action: Some(action),
        });
    }

    fn put(&self, event: Waiting) {
        if let Err(error) = self.sender.try_send(event) {
            let (mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event)) = error;
            tracing::warn!(reason = event.reason, message = event.message, "event dropped: too many wait");
        }
    }
}

/// A reference to an object, as events carry it.
pub fn reference<T: Kind>(object: &T) -> ObjectReference {
    let metadata = object.metadata();
    ObjectReference {
        api_version: Some(T::API_VERSION.to_owned()),
        kind: Some(T::KIND.to_owned()),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}

struct Writer {
    client: Client,
    env: Env,
    component: String,
    host: String,
    correlator: Correlator,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Waiting>) {
        while let Some(event) = receiver.recv().await {
            self.write(event).await;
        }
    }

    async fn write(&mut self, event: Waiting) {
        let about = &event.about;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let identity = Identity {
            object: [
                text(&about.kind),
                text(&about.namespace),
                text(&about.name),
                text(&about.uid),
                text(&about.api_version),
                text(&about.field_path),
            ],
            kind: event.kind,
            reason: event.reason.to_owned(),
            message: event.message.clone(),
        };
        let (identity, decision) = self.correlator.decide(&identity, self.env.elapsed());
        let namespace = about.namespace.clone().filter(|ns| !ns.is_empty()).unwrap_or("default".into());
        match decision {
            Decision::Drop => {}
            Decision::Create { message } => self.create(identity, &event, &namespace, message).await,
            Decision::Count { name, count, message } => {
                let patch = match event.action {
                    None => json!({"count": count, "message": message, "lastTimestamp": Time(event.at)}),
                    Some(_) => json!({"series":
                        {"count": count, "lastObservedTime": MicroTime(event.at)}}),
                };
                let patched =
                    self.client.patch::<Event>(&namespace, &name, PatchKind::Strategic, patch).await;
                match patched {
                    Ok(_) => {}
                    // It has been deleted or has expired: start anew.
                    Err(error) if error.is_not_found() => {
                        self.correlator.lost(&identity);
                        self.create(identity, &event, &namespace, message).await;
                    }
                    Err(error) => tracing::debug!(%error, "event not counted"),
                }
            }
        }
    }

    async fn create(&mut self, identity: Identity, event: &Waiting, namespace: &str, message: String) {
        let name = format!(
            "{}.{:016x}",
            event.about.name.as_deref().unwrap_or_default(),
            u64::try_from(event.at.as_nanosecond()).unwrap_or_default() + self.env.chance().below(1_000_000)
        );
        let classic = event.action.is_none();
        let object = Event {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: event.about.clone(),
            related: event.related.clone(),
            type_: Some(event.kind.as_str().to_owned()),
            reason: Some(event.reason.to_owned()),
            message: Some(message),
            action: event.action.map(str::to_owned),
            count: classic.then_some(1),
            first_timestamp: classic.then_some(Time(event.at)),
            last_timestamp: classic.then_some(Time(event.at)),
            event_time: (!classic).then_some(MicroTime(event.at)),
            source: classic.then(|| EventSource {
                component: Some(self.component.clone()),
                host: Some(self.host.clone()).filter(|host| !host.is_empty()),
            }),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(if classic || !self.host.is_empty() {
                self.host.clone()
            } else {
                self.component.clone()
            }),
            series: None,
        };
        for _ in 0..TRIES_MAX {
            match self.client.create(&object).await {
                Ok(_) => {
                    self.correlator.created(identity, name, self.env.elapsed());
                    return;
                }
                // Refused for good: the namespace ends, the event is invalid, or there already is one.
                Err(error)
                    if error.status().is_some_and(|status| {
                        (400..500).contains(&status.code()) && status.code() != 429
                    }) =>
                {
                    tracing::debug!(%error, reason = event.reason, "event refused");
                    return;
                }
                Err(error) => tracing::debug!(%error, reason = event.reason, "event not written yet"),
            }
            self.env.sleep(TRY_PAUSE).await;
        }
        tracing::warn!(reason = event.reason, "event given up");
    }
}
