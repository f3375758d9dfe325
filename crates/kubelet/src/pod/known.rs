//! What is known of a pod when its next step is decided.

use std::collections::{BTreeMap, BTreeSet};

use cox_network::PodNetwork;
use cox_runtime::{ContainerState, ContainerStatus, SandboxState, SandboxStatus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::backoff::Backoff;

/// Something that takes time and is under way or wanted. One of a kind runs at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    /// Make the volumes, attach the network, run the sandbox.
    Sandbox {
        /// How many there were before.
        attempt: u32,
    },
    /// See that a container's image is present.
    Image {
        /// The container.
        container: String,
    },
    /// Create and start a container, then run its postStart hook.
    Start {
        /// The container.
        container: String,
        /// Its restart count.
        attempt: u32,
    },
    /// Run the preStop hook, send the stop signal, wait, kill.
    Stop {
        /// The container.
        container: String,
        /// Its id.
        id: String,
        /// Seconds for hook and signal together.
        grace_seconds: i64,
        /// What the `Killing` event says.
        message: String,
        /// Whether the preStop hook is run.
        hook: bool,
    },
    /// Remove the records of an old container.
    Remove {
        /// Its id.
        id: String,
    },
    /// Give up the namespaces; records stay.
    StopSandbox {
        /// Its id.
        id: String,
    },
    /// Remove sandboxes, volumes and directories, then the pod itself from the API.
    Finish,
}

impl Job {
    /// What may run only once at a time.
    pub(crate) fn key(&self) -> (u8, &str) {
        match self {
            Job::Sandbox { .. } => (0, ""),
            Job::Image { container } => (1, container),
            Job::Start { container, .. } => (2, container),
            Job::Stop { id, .. } => (3, id),
            Job::Remove { id } => (4, id),
            Job::StopSandbox { id } => (5, id),
            Job::Finish => (6, ""),
        }
    }
}

/// Why a container waits, as its status shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// As in `CreateContainerConfigError`.
    pub(crate) reason: String,
    /// For people.
    pub(crate) message: String,
    /// When to try again.
    pub(crate) retry_at: Timestamp,
}

/// What probes and hooks found out about a running container, by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// The postStart hook is over (or there is none).
    pub(crate) hook_done: bool,
    /// The startup probe has succeeded (or there is none and the hook is over).
    pub(crate) started: bool,
    /// The readiness probe's last word; true where there is none.
    pub(crate) ready: bool,
    /// The container has to be killed: what the event says, and the probe's own grace period.
    pub(crate) doomed: Option<(String, Option<i64>)>,
}

/// Why the whole pod ends, though nobody deleted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// As in `DeadlineExceeded` or `Evicted`.
    pub(crate) reason: String,
    /// For people.
    pub(crate) message: String,
    /// Seconds that termination may take.
    pub(crate) grace_seconds: Option<i64>,
}

/// What the worker keeps between steps; after a crash of the kubelet it is built anew.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// When the kubelet first saw the pod (`status.startTime`).
    pub(crate) start_time: Option<Timestamp>,
    /// What is under way.
    pub(crate) jobs: BTreeSet<Job>,
    /// The pod's network, once attached.
    pub(crate) network: Option<PodNetwork>,
    /// What kept the sandbox from being made.
    pub(crate) sandbox_trouble: Option<Trouble>,
    /// Images seen present, by container: the image's id. Taken for one start.
    pub(crate) images: BTreeMap<String, String>,
    /// What keeps a container from being started.
    pub(crate) troubles: BTreeMap<String, Trouble>,
    /// Delays of pulls, by container.
    pub(crate) pull_backoff: BTreeMap<String, Backoff>,
    /// Delays of restarts, by container: the id of the exited container they count, and the delay.
    pub(crate) restart_backoff: BTreeMap<String, (String, Backoff)>,
    /// Probes and hooks, by container id.
    pub(crate) health: BTreeMap<String, Health>,
    /// Set when the pod ends for a reason of the node's.
    pub(crate) ended: Option<Ended>,
    /// When termination began.
    pub(crate) terminating_since: Option<Timestamp>,
    /// Set once the last status before removal has reached the API.
    pub(crate) final_status_written: bool,
    /// Terminated states from before records were lost, by container name: restart counts of the API's status.
    pub(crate) restart_floor: BTreeMap<String, u32>,
}

/// Everything the next step is decided from.
pub(crate) struct Known<'a> {
    /// The pod as the API has it.
    pub(crate) pod: &'a Pod,
    /// Whether the API no longer has it.
    pub(crate) gone: bool,
    /// The newest sandbox.
    pub(crate) sandbox: Option<&'a SandboxStatus>,
    /// The pod's containers in all its sandboxes, oldest first.
    pub(crate) containers: &'a [ContainerStatus],
    /// What the worker remembers.
    pub(crate) memory: &'a Memory,
    /// Now.
    pub(crate) now: Timestamp,
}

impl<'a> Known<'a> {
    /// The newest container of a name, whichever sandbox it was in.
    pub(crate) fn newest(&self, name: &str) -> Option<&'a ContainerStatus> {
        self.containers
            .iter()
            .filter(|container| container.config.name == name)
            .max_by_key(|c| c.config.attempt)
    }

    /// The newest container of a name in the present sandbox.
    pub(crate) fn current(&self, name: &str) -> Option<&'a ContainerStatus> {
        let sandbox = self.ready_sandbox()?;
        self.newest(name).filter(|container| container.sandbox == sandbox.id)
    }

    /// The one before the newest, for `lastState`.
    pub(crate) fn previous(&self, name: &str) -> Option<&'a ContainerStatus> {
        let newest = self.newest(name)?.config.attempt;
        self.containers
            .iter()
            .filter(|container| container.config.name == name && container.config.attempt < newest)
            .max_by_key(|container| container.config.attempt)
    }

    /// The sandbox, where it can take containers.
    pub(crate) fn ready_sandbox(&self) -> Option<&'a SandboxStatus> {
        self.sandbox.filter(|sandbox| sandbox.state == SandboxState::Ready)
    }

    /// Containers whose process exists.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &'a ContainerStatus> {
        self.containers
            .iter()
            .filter(|container| matches!(container.state, ContainerState::Running | ContainerState::Created))
    }

    /// The number of the next container of a name.
    pub(crate) fn next_attempt(&self, name: &str) -> u32 {
        let floor = self.memory.restart_floor.get(name).copied().unwrap_or(0);
        self.newest(name).map_or(floor, |container| container.config.attempt + 1).max(floor)
    }

    /// What probes say of a container.
    pub(crate) fn health(&self, container: &ContainerStatus) -> Health {
        self.memory.health.get(container.id.as_str()).cloned().unwrap_or_default()
    }

    /// Whether a job with this key is under way.
    pub(crate) fn busy(&self, key: (u8, &str)) -> bool {
        self.memory.jobs.iter().any(|job| job.key() == key)
    }
}
