//! The shell around the cycle: informers feed queue and snapshot, binds go out, results are told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cox_api::PatchKind;
use cox_client::events::reference;
use cox_client::{Change, Client, EventRecorder, EventType, SharedInformers};
use cox_env::Env;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use crate::cycle::cycle;
use crate::pod::PodInfo;
use crate::queue::Queue;
use crate::snapshot::Snapshot;
use crate::text;

/// Binds under way at a time.
const BINDS_MAX: usize = 128;

/// How a scheduler is set up (`KubeSchedulerConfiguration`).
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Pods with this `spec.schedulerName` are ours.
    pub scheduler_name: String,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        SchedulerConfig { scheduler_name: "default-scheduler".into() }
    }
}

/// The scheduler. It ends with the task group of its [`Env`].
pub struct Scheduler {
    env: Env,
    client: Client,
    config: SchedulerConfig,
    recorder: EventRecorder,
    queue: Queue,
    snapshot: Snapshot,
    binds: Arc<Semaphore>,
    /// Uids of pods whose binding is under way.
    binding: BTreeSet<String>,
    bound: mpsc::Sender<Bound>,
}

/// A bind has ended.
struct Bound {
    pod: Arc<PodInfo>,
    failed: Option<String>,
}

impl Scheduler {
    /// Starts scheduling.
    pub fn start(env: Env, client: Client, config: SchedulerConfig) {
        let informers = SharedInformers::new(client.clone(), env.clone());
        let recorder = EventRecorder::new(client.clone(), &env, &config.scheduler_name, "");
        let (bound, results) = mpsc::channel(BINDS_MAX);
        let scheduler = Scheduler {
            env: env.clone(),
            client,
            config,
            recorder,
            queue: Queue::default(),
            snapshot: Snapshot::default(),
            binds: Arc::new(Semaphore::new(BINDS_MAX)),
            binding: BTreeSet::new(),
            bound,
        };
        env.spawn(scheduler.run(informers, results));
    }

    async fn run(mut self, informers: SharedInformers, mut results: mpsc::Receiver<Bound>) {
        let (nodes, pods) = (informers.of::<Node>(), informers.of::<Pod>());
        let (mut node_changes, mut pod_changes) = (nodes.subscribe(), pods.subscribe());
        nodes.synced().await;
        pods.synced().await;
        nodes.list().iter().for_each(|node| self.snapshot.set_node(node));
        for pod in pods.list() {
            self.take_pod(Change { old: None, new: Some(pod) });
        }
        loop {
            let now = self.env.elapsed();
            let next = self.queue.tick(now);
            // Everything that is known by now counts before the next decision.
            while let Some(change) = node_changes.try_next() {
                self.take_node(change);
            }
            while let Some(change) = pod_changes.try_next() {
                self.take_pod(change);
            }
            while let Ok(result) = results.try_recv() {
                self.take_result(result);
            }
            if self.binds.available_permits() > 0
                && let Some(pod) = self.queue.pop()
            {
                self.schedule(pod);
                // Others get their turn between two pods.
                tokio::task::yield_now().await;
                continue;
            }
            let env = self.env.clone();
            let timer = async {
                match next {
                    Some(at) => env.sleep(at.saturating_sub(now).max(Duration::from_millis(1))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                change = node_changes.next() => self.take_node(change),
                change = pod_changes.next() => self.take_pod(change),
                Some(result) = results.recv() => self.take_result(result),
                () = timer => {}
            }
        }
    }

    fn take_node(&mut self, change: Change<Arc<Node>>) {
        match (change.old, change.new) {
            (_, Some(node)) => self.snapshot.set_node(&node),
            (Some(node), None) => self.snapshot.remove_node(node.metadata.name.as_deref().unwrap_or_default()),
            (None, None) => {}
        }
        self.queue.changed(self.env.elapsed());
    }

    fn take_pod(&mut self, change: Change<Arc<Pod>>) {
        match (change.old, change.new) {
            (_, Some(pod)) => {
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                let spec = pod.spec.clone().unwrap_or_default();
                if spec.node_name.as_deref().is_some_and(|node| !node.is_empty()) {
                    self.queue.remove(&uid);
                    self.snapshot.set_pod(&pod);
                    if matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed")) {
                        self.queue.changed(self.env.elapsed());
                    }
                    return;
                }
                let ours = spec.scheduler_name.as_deref().unwrap_or("default-scheduler") == self.config.scheduler_name;
                let over = matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
                let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
                if !ours || over || gated || pod.metadata.deletion_timestamp.is_some() {
                    self.queue.remove(&uid);
                    return;
                }
                if !self.binding.contains(&uid) {
                    self.queue.add(Arc::new(PodInfo::new(pod)));
                }
            }
            (Some(pod), None) => {
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                self.queue.remove(uid);
                self.snapshot.remove_pod(uid);
                self.queue.changed(self.env.elapsed());
            }
            (None, None) => {}
        }
    }

    fn take_result(&mut self, bound: Bound) {
        self.binding.remove(&bound.pod.uid);
        if let Some(error) = bound.failed {
            tracing::warn!(pod = %format!("{}/{}", bound.pod.namespace, bound.pod.name), error, "bind");
            self.snapshot.remove_pod(&bound.pod.uid);
            self.queue.add_later(bound.pod, self.env.elapsed());
        }
    }

    fn schedule(&mut self, pod: Arc<PodInfo>) {
        let outcome = cycle(&pod, &self.snapshot, self.env.chance());
        self.snapshot.advance(outcome.looked_at);
        match outcome.result {
            Ok(node) => {
                self.queue.remove(&pod.uid);
                self.binding.insert(pod.uid.clone());
                self.snapshot.place(pod.clone(), &node);
                self.bind(pod, node);
            }
            Err(failed) => {
                self.queue.failed(&pod.uid, self.env.elapsed());
                let message = text::unschedulable(&failed);
                self.recorder.action(reference(&*pod.pod), None, EventType::Warning, "FailedScheduling", "Scheduling", message.clone());
                let client = self.client.clone();
                self.env.spawn(async move { tell_unschedulable(&client, &pod, &message).await });
            }
        }
    }

    fn bind(&self, pod: Arc<PodInfo>, node: String) {
        let (client, recorder, bound, binds) =
            (self.client.clone(), self.recorder.clone(), self.bound.clone(), self.binds.clone());
        self.env.spawn(async move {
            let Ok(_permit) = binds.acquire_owned().await else { return };
            let failed = match client.bind(&pod.namespace, &pod.name, &pod.uid, &node).await {
                Ok(()) => {
                    let message = format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name);
                    recorder.action(reference(&*pod.pod), None, EventType::Normal, "Scheduled", "Binding", message);
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            // The scheduler ends with its tasks: then nobody wants to know.
            let _ = bound.send(Bound { pod, failed }).await;
        });
    }
}

/// Writes `PodScheduled: False`, unless it says so already.
async fn tell_unschedulable(client: &Client, pod: &PodInfo, message: &str) {
    let known = pod.pod.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let told = known.into_iter().any(|condition| {
        condition.type_ == "PodScheduled" && condition.status == "False" && condition.message.as_deref() == Some(message)
    });
    if told {
        return;
    }
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "observedGeneration": pod.pod.metadata.generation});
    let patch = json!({"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}});
    match client.patch_status::<Pod>(&pod.namespace, &pod.name, PatchKind::Strategic, patch).await {
        Ok(_) => {}
        Err(error) if error.is_not_found() || error.is_conflict() => {}
        Err(error) => tracing::warn!(pod = %format!("{}/{}", pod.namespace, pod.name), %error, "PodScheduled condition"),
    }
}
