//! The worker of one pod: looks at what is there, lets the plan decide, starts jobs, tells the API.
//! Nothing in its loop waits for a job; each ends with a message.

mod health;
mod jobs;
mod publish;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use cox_env::Task;
use cox_runtime::{ContainerState, ContainerStatus, RuntimeError, SandboxId, SandboxStatus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::{mpsc, watch};

use crate::node::Node;
use crate::pod::backoff::Backoff;
use crate::pod::known::{Ended, Health, Job};
use crate::pod::plan::{deadline, plan};
use crate::pod::status::status;
use crate::pod::{Known, Memory, spec};
use crate::probe::Verdict;
use crate::volumes::Mounted;

/// How many messages of jobs and probes may wait; there are never more senders than containers times four.
const MESSAGES_MAX: usize = 256;
/// How often volumes are compared with what the API has.
const VOLUMES_REFRESH_SECONDS: u64 = 60;

/// What the API says of the pod.
#[derive(Clone)]
pub(crate) struct Desired {
    /// The pod's last known form.
    pub(crate) pod: Arc<Pod>,
    /// Whether the API no longer has it.
    pub(crate) gone: bool,
}

/// What jobs and probes report.
enum Message {
    /// A sandbox was made, or not.
    Sandbox(Result<jobs::Made, jobs::SandboxError>),
    /// A container's image is present (its id), or not.
    Image(String, Result<String, jobs::PullError>),
    /// A container was started (its id), or not: reason and message.
    Start(String, Result<String, (String, String)>),
    /// Something ended that needs no more than another look.
    Done(Job),
    /// A probe's word on a container, by its id.
    Probe(String, Verdict),
    /// A status was written, or not.
    Published(Box<PodStatus>, Result<(), bool>),
    /// Everything of the pod is gone.
    Finished,
}

/// A pod's worker.
pub(crate) struct Worker {
    node: Arc<Node>,
    desired: watch::Receiver<Desired>,
    wake: Arc<tokio::sync::Notify>,
    sender: mpsc::Sender<Message>,
    messages: mpsc::Receiver<Message>,
    memory: Memory,
    sandboxes: Vec<SandboxStatus>,
    containers: Vec<ContainerStatus>,
    sandbox_ids: BTreeSet<SandboxId>,
    volumes: BTreeMap<String, Mounted>,
    probes: BTreeMap<String, Vec<Task<()>>>,
    publisher: publish::Publisher,
    /// Termination messages, by container id.
    last_words: BTreeMap<String, String>,
    volumes_fresh_until: Option<Timestamp>,
}

impl Worker {
    /// A worker for a pod with what an earlier kubelet left of it.
    pub(crate) fn new(
        node: Arc<Node>,
        desired: watch::Receiver<Desired>,
        wake: Arc<tokio::sync::Notify>,
        found: Vec<SandboxId>,
    ) -> Worker {
        let (sender, messages) = mpsc::channel(MESSAGES_MAX);
        let mut memory = Memory::default();
        {
            let pod = &desired.borrow().pod;
            let status = pod.status.as_ref();
            memory.start_time = status.and_then(|status| status.start_time.as_ref()).map(|time| time.0);
            let lists = status.map(|s| [&s.init_container_statuses, &s.container_statuses]);
            for container in lists.into_iter().flatten().flat_map(|list| list.iter().flatten()) {
                if container.container_id.is_some() {
                    let floor = u32::try_from(container.restart_count).unwrap_or(0) + 1;
                    memory.restart_floor.insert(container.name.clone(), floor);
                }
            }
        }
        Worker {
            node,
            desired,
            wake,
            sender,
            messages,
            memory,
            sandboxes: Vec::new(),
            containers: Vec::new(),
            sandbox_ids: found.into_iter().collect(),
            volumes: BTreeMap::new(),
            probes: BTreeMap::new(),
            publisher: publish::Publisher::default(),
            last_words: BTreeMap::new(),
            volumes_fresh_until: None,
        }
    }

    /// Works until everything of the pod is gone.
    pub(crate) async fn run(mut self) {
        let found = self.node.network.as_ref();
        if let Some(network) = found
            && !self.sandbox_ids.is_empty()
        {
            let uid = spec::uid(&self.desired.borrow().pod).to_owned();
            self.memory.network =
                network.list().await.unwrap_or_default().into_iter().find(|network| network.owner == uid);
        }
        loop {
            self.observe().await;
            let desired = self.desired.borrow_and_update().clone();
            let now = self.node.env.now();
            self.note(&desired, now);
            let known = Known {
                pod: &desired.pod,
                gone: desired.gone,
                sandbox: self.sandboxes.last(),
                containers: &self.containers,
                memory: &self.memory,
                now,
            };
            let plan = plan(&known);
            let status = (!desired.gone).then(|| status(&known, &self.node.facts));
            let settled = known.alive().next().is_none() && known.ready_sandbox().is_none();
            if let Some(status) = status {
                let last = settled && spec::deletion(&desired.pod).is_some() && plan.jobs.is_empty();
                self.publish(&desired.pod, status, last);
            }
            for job in plan.jobs {
                self.start(&desired.pod, job);
            }
            let wake_at = [plan.wake_at, self.volumes_fresh_until].into_iter().flatten().min();
            if self.wait(wake_at).await {
                return;
            }
        }
    }

    /// Reads what the runtime has of this pod.
    async fn observe(&mut self) {
        let mut sandboxes = Vec::new();
        let mut containers = Vec::new();
        for id in self.sandbox_ids.clone() {
            match self.node.runtime.sandbox_status(&id).await {
                Ok(status) => sandboxes.push(status),
                Err(RuntimeError::NotFound { .. }) => {
                    self.sandbox_ids.remove(&id);
                    continue;
                }
                Err(error) => tracing::warn!(sandbox = %id, %error, "sandbox status"),
            }
            match self.node.runtime.list_containers(Some(&id)).await {
                Ok(found) => containers.extend(found),
                Err(error) => tracing::warn!(sandbox = %id, %error, "list containers"),
            }
        }
        let pod = self.desired.borrow().pod.clone();
        for container in
            containers.iter_mut().filter(|c| c.state == ContainerState::Exited && c.message.is_empty())
        {
            let id = container.id.as_str().to_owned();
            let message = self.last_words.entry(id).or_insert_with(|| {
                jobs::termination_message(&self.node, &pod, container).unwrap_or_default()
            });
            container.message.clone_from(message);
        }
        self.last_words.retain(|id, _| containers.iter().any(|container| container.id.as_str() == id));
        sandboxes.sort_by_key(|sandbox| sandbox.config.attempt);
        containers.sort_by_key(|container| (container.created_at, container.config.attempt));
        self.sandboxes = sandboxes;
        self.containers = containers;
    }

    /// Brings the memory up to date with what was seen.
    fn note(&mut self, desired: &Desired, now: Timestamp) {
        let pod = &desired.pod;
        self.memory.start_time.get_or_insert(now);
        let ending = desired.gone || spec::deletion(pod).is_some() || self.memory.ended.is_some();
        if ending {
            self.memory.terminating_since.get_or_insert(now);
            self.probes.retain(|_, tasks| {
                tasks.iter().for_each(Task::abort);
                false
            });
        }
        let over =
            matches!(pod.status.as_ref().and_then(|s| s.phase.as_deref()), Some("Succeeded" | "Failed"));
        let known = self.known(desired, now);
        let late = deadline(&known).is_some_and(|deadline| deadline <= now);
        if late
            && !over
            && self.memory.ended.is_none()
            && crate::pod::plan::outcome(&self.known(desired, now)) == crate::pod::plan::Outcome::Open
        {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            self.node.events.pod(pod, "Normal", "DeadlineExceeded", &message);
            self.memory.ended =
                Some(Ended { reason: "DeadlineExceeded".into(), message, grace_seconds: None });
            self.memory.terminating_since = Some(now);
        }
        self.note_exits(now);
        self.note_health(desired, ending);
    }

    fn known<'a>(&'a self, desired: &'a Desired, now: Timestamp) -> Known<'a> {
        Known {
            pod: &desired.pod,
            gone: desired.gone,
            sandbox: self.sandboxes.last(),
            containers: &self.containers,
            memory: &self.memory,
            now,
        }
    }

    fn note_exits(&mut self, now: Timestamp) {
        for container in &self.containers {
            if container.state != ContainerState::Exited {
                continue;
            }
            let name = &container.config.name;
            let newest = self
                .containers
                .iter()
                .filter(|other| other.config.name == *name)
                .map(|o| o.config.attempt)
                .max();
            if newest != Some(container.config.attempt) {
                continue;
            }
            let id = container.id.as_str();
            let before = self.memory.restart_backoff.get(name);
            if before.is_some_and(|(known, _)| known == id) {
                continue;
            }
            let at = container.finished_at.unwrap_or(now);
            let backoff = Backoff::after_exit(before.map(|(_, backoff)| *backoff), at);
            self.memory.restart_backoff.insert(name.clone(), (id.to_owned(), backoff));
        }
    }

    /// Waits for something to happen. True when the pod is finished.
    async fn wait(&mut self, wake_at: Option<Timestamp>) -> bool {
        let sleep = wake_at.map(|at| {
            let millis = at.as_millisecond() - self.node.env.now().as_millisecond();
            std::time::Duration::from_millis(millis.max(1).unsigned_abs())
        });
        let env = self.node.env.clone();
        let timer = async {
            match sleep {
                Some(time) => env.sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            message = self.messages.recv() => {
                let mut next = message;
                while let Some(message) = next {
                    if self.take(message) {
                        return true;
                    }
                    next = self.messages.try_recv().ok();
                }
            }
            _ = self.desired.changed() => {}
            () = self.wake.notified() => {}
            () = timer => {
                if self.volumes_fresh_until.is_some_and(|until| until <= self.node.env.now()) {
                    self.refresh_volumes();
                }
            }
        }
        false
    }

    /// Takes in a message. True when the pod is finished.
    fn take(&mut self, message: Message) -> bool {
        let now = self.node.env.now();
        match message {
            Message::Sandbox(result) => {
                self.memory.jobs.retain(|job| !matches!(job, Job::Sandbox { .. }));
                match result {
                    Ok(made) => {
                        self.sandbox_ids.insert(made.sandbox);
                        self.memory.network = made.network;
                        self.volumes = made.volumes;
                        self.memory.sandbox_trouble = None;
                        self.volumes_fresh_until =
                            Some(now + std::time::Duration::from_secs(VOLUMES_REFRESH_SECONDS));
                    }
                    Err(error) => self.memory.sandbox_trouble = Some(error.trouble(now)),
                }
            }
            Message::Image(container, result) => {
                self.memory.jobs.retain(|job| job.key() != (1, &container));
                match result {
                    Ok(id) => {
                        self.memory.troubles.remove(&container);
                        self.memory.images.insert(container, id);
                    }
                    Err(error) => {
                        let before = self.memory.pull_backoff.get(&container).copied();
                        let backoff = Backoff::after_failure(before, now);
                        self.memory.troubles.insert(container.clone(), error.trouble(backoff.until()));
                        self.memory.pull_backoff.insert(container, backoff);
                    }
                }
            }
            Message::Start(container, result) => {
                self.memory.jobs.retain(|job| job.key() != (2, &container));
                self.memory.images.remove(&container);
                match result {
                    Ok(id) => {
                        self.memory.troubles.remove(&container);
                        self.memory.health.entry(id).or_default().hook_done = true;
                    }
                    Err((reason, message)) => {
                        let retry_at = now + jobs::RETRY_AFTER;
                        let trouble = crate::pod::known::Trouble { reason, message, retry_at };
                        self.memory.troubles.insert(container, trouble);
                    }
                }
            }
            Message::Done(job) => {
                self.memory.jobs.remove(&job);
            }
            Message::Probe(id, verdict) => self.take_verdict(&id, verdict),
            Message::Published(sent, result) => self.published(*sent, result),
            Message::Finished => return true,
        }
        false
    }

    /// The pod's directory on the node.
    fn dir(&self, pod: &Pod) -> PathBuf {
        self.node.pod_dir(spec::uid(pod))
    }

    fn health_of(&self, id: &str) -> Health {
        self.memory.health.get(id).cloned().unwrap_or_default()
    }
}
