//! Builders for tests.

use cox_client::fake::FakeApi;
use cox_client::{EventRecorder, SharedInformers};
use cox_env::Env;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::Context;

/// A moment: seconds after the start of a test's world.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    start + jiff::SignedDuration::from_secs(seconds)
}

/// A world with a make-believe API server.
pub(crate) fn world() -> (FakeApi, Context) {
    let env = Env::simulated(1, at(0));
    let api = FakeApi::new(env.clone());
    let client = api.client();
    let informers = SharedInformers::new(client.clone(), env.clone());
    let events = EventRecorder::new(client.clone(), &env, "test-controller", "");
    (api.clone(), Context { env, client, informers, events })
}

/// Lets everything run until nothing happens but waiting; at most `seconds` pass.
pub(crate) async fn pass(context: &Context, seconds: u64) {
    context.env.sleep(std::time::Duration::from_secs(seconds)).await;
}

/// An object out of JSON.
pub(crate) fn object<T: cox_client::Kind>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("the value fits the type")
}

/// The events so far, as `Reason: message`, sorted.
pub(crate) fn events(api: &FakeApi) -> Vec<String> {
    let mut events: Vec<String> = api
        .all::<k8s_openapi::api::core::v1::Event>()
        .into_iter()
        .map(|event| format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default()))
        .collect();
    events.sort();
    events
}

/// A pod to be.
pub(crate) fn pod(name: &str) -> PodBuilder {
    PodBuilder(Pod {
        metadata: ObjectMeta {
            namespace: Some("ns".into()),
            name: Some(name.into()),
            uid: Some(format!("uid-{name}")),
            creation_timestamp: Some(Time(at(0))),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec::default()),
        status: Some(PodStatus { phase: Some("Pending".into()), ..PodStatus::default() }),
    })
}

/// Builds pods.
pub(crate) struct PodBuilder(Pod);

impl PodBuilder {
    pub(crate) fn labels(mut self, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        self.0.metadata.labels = Some(labels.collect());
        self
    }

    pub(crate) fn phase(mut self, phase: &str) -> Self {
        self.0.status.as_mut().unwrap().phase = Some(phase.into());
        self
    }

    pub(crate) fn pending(self, node: &str) -> Self {
        self.phase("Pending").node(node)
    }

    pub(crate) fn running(self, node: &str) -> Self {
        self.phase("Running").node(node)
    }

    pub(crate) fn node(mut self, node: &str) -> Self {
        self.0.spec.as_mut().unwrap().node_name = (!node.is_empty()).then(|| node.into());
        self
    }

    pub(crate) fn condition(mut self, kind: &str, status: &str, since: Timestamp) -> Self {
        self.0.status.as_mut().unwrap().conditions.get_or_insert_default().push(PodCondition {
            type_: kind.into(),
            status: status.into(),
            last_transition_time: Some(Time(since)),
            ..PodCondition::default()
        });
        self
    }

    pub(crate) fn ready_at(self, since: Timestamp) -> Self {
        self.condition("Ready", "True", since)
    }

    pub(crate) fn deleted(mut self, when: Timestamp) -> Self {
        self.0.metadata.deletion_timestamp = Some(Time(when));
        self
    }

    pub(crate) fn owner<T: cox_client::Kind>(mut self, owner: &T) -> Self {
        self.0.metadata.owner_references = Some(vec![super::owner::controller_reference(owner)]);
        self
    }

    pub(crate) fn with(mut self, edit: impl FnOnce(&mut Pod)) -> Self {
        edit(&mut self.0);
        self
    }

    pub(crate) fn build(self) -> Pod {
        self.0
    }
}
