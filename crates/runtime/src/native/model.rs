//! What the agent knows of its sandboxes and containers.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use cox_shim::protocol::{ContainerState as ShimContainer, Exit, Phase};
use jiff::Timestamp;
use tokio::sync::watch;

use super::client::Client;
use super::records::{ContainerRecord, SandboxRecord};
use crate::types::*;
use crate::{Result, RuntimeError};

/// Exit code of a container that couldn't be started, as upstream has it.
const START_ERROR_CODE: i32 = 128;
/// Exit code of a container whose end nobody saw: the kernel killed it with its supervisor.
const LOST_CODE: i32 = 128 + 9;

/// A sandbox.
pub struct Sandbox {
    pub id: SandboxId,
    pub dir: PathBuf,
    pub record: SandboxRecord,
    inner: Mutex<SandboxInner>,
}

struct SandboxInner {
    /// `None` once it is stopped or its supervisor is gone.
    client: Option<Arc<Client>>,
    supervisor_pid: u32,
    /// It is being stopped, so the end of the connection is no surprise.
    stopping: bool,
    containers: BTreeMap<ContainerId, Arc<Container>>,
}

/// A container.
pub struct Container {
    pub id: ContainerId,
    pub dir: PathBuf,
    pub record: ContainerRecord,
    /// What its supervisor said last; whoever waits for its end watches this.
    shim: watch::Sender<ShimContainer>,
}

impl Sandbox {
    pub fn new(id: SandboxId, dir: PathBuf, record: SandboxRecord) -> Self {
        let inner =
            SandboxInner { client: None, supervisor_pid: 0, stopping: false, containers: BTreeMap::new() };
        Sandbox { id, dir, record, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, SandboxInner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn connected(&self, client: Client, supervisor_pid: u32) {
        let mut inner = self.inner();
        inner.client = Some(Arc::new(client));
        inner.supervisor_pid = supervisor_pid;
    }

    /// No supervisor any more; what still counted as running has been killed with it. Gives those.
    pub fn disconnected(&self) -> Vec<Arc<Container>> {
        let containers = {
            let mut inner = self.inner();
            inner.client = None;
            inner.containers.values().cloned().collect::<Vec<_>>()
        };
        containers.into_iter().filter(|container| container.lost()).collect()
    }

    /// The way to the supervisor.
    pub fn client(&self) -> Result<Arc<Client>> {
        self.inner()
            .client
            .clone()
            .ok_or_else(|| RuntimeError::WrongState(format!("sandbox {:?} is not ready", self.id.as_str())))
    }

    /// Says that the end is wanted; gives the way to the supervisor if there is one.
    pub fn begin_stop(&self) -> Option<Arc<Client>> {
        let mut inner = self.inner();
        inner.stopping = true;
        inner.client.clone()
    }

    /// The supervisor's process, as a descriptor that tells of its end; none where it is gone.
    pub fn supervisor(&self) -> Option<OwnedFd> {
        let pid = i32::try_from(self.inner().supervisor_pid).ok().and_then(rustix::process::Pid::from_raw)?;
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
    }

    pub fn is_stopping(&self) -> bool {
        self.inner().stopping
    }

    pub fn container(&self, id: &ContainerId) -> Option<Arc<Container>> {
        self.inner().containers.get(id).cloned()
    }

    pub fn containers(&self) -> Vec<Arc<Container>> {
        self.inner().containers.values().cloned().collect()
    }

    pub fn add(&self, container: Arc<Container>) {
        self.inner().containers.insert(container.id.clone(), container);
    }

    pub fn forget(&self, id: &ContainerId) {
        self.inner().containers.remove(id);
    }

    pub fn status(&self) -> SandboxStatus {
        let inner = self.inner();
        let ready = inner.client.is_some() && !inner.stopping;
        SandboxStatus {
            id: self.id.clone(),
            config: self.record.config.clone(),
            state: if ready { SandboxState::Ready } else { SandboxState::NotReady },
            created_at: self.record.created_at,
            supervisor_pid: ready.then_some(inner.supervisor_pid),
        }
    }
}

impl Container {
    pub fn new(id: ContainerId, dir: PathBuf, record: ContainerRecord, shim: ShimContainer) -> Self {
        Container { id, dir, record, shim: watch::Sender::new(shim) }
    }

    pub fn shim(&self) -> ShimContainer {
        self.shim.borrow().clone()
    }

    pub fn phase(&self) -> Phase {
        self.shim.borrow().phase
    }

    pub fn started(&self, at_ns: i64) {
        self.shim.send_modify(|shim| {
            shim.started_at_ns = Some(at_ns);
            // Its end may have been reported before.
            if shim.exit.is_none() {
                shim.phase = Phase::Running;
            }
        });
    }

    pub fn start_failed(&self, message: &str) {
        self.shim.send_modify(|shim| shim.start_error = Some(message.to_owned()));
    }

    pub fn exited(&self, exit: Exit) {
        self.shim.send_modify(|shim| {
            shim.exit = Some(exit);
            shim.phase = Phase::Exited;
        });
    }

    pub fn replace(&self, state: ShimContainer) {
        self.shim.send_replace(state);
    }

    /// Its supervisor is gone; true if it hadn't exited before.
    fn lost(&self) -> bool {
        if self.shim.borrow().exit.is_some() {
            return false;
        }
        let finished_at_ns = Timestamp::now().as_nanosecond() as i64;
        self.exited(Exit { code: LOST_CODE, signal: Some(9), oom_killed: false, finished_at_ns });
        true
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Exit {
        let mut receiver = self.shim.subscribe();
        loop {
            if let Some(exit) = receiver.borrow_and_update().exit {
                return exit;
            }
            if receiver.changed().await.is_err() {
                // The sender is `self`, so this can't be.
                std::future::pending::<()>().await;
            }
        }
    }

    pub fn status(&self, sandbox: &Sandbox) -> ContainerStatus {
        let shim = self.shim();
        let record = &self.record;
        let state = match shim.phase {
            Phase::Creating | Phase::Created | Phase::Starting => ContainerState::Created,
            Phase::Running => ContainerState::Running,
            Phase::Exited => ContainerState::Exited,
        };
        let time = |ns: i64| Timestamp::from_nanosecond(i128::from(ns)).unwrap_or_default();
        let (mut exit_code, mut reason, mut message) = (None, "", String::new());
        if let Some(exit) = &shim.exit {
            exit_code = Some(exit.code);
            reason = match (exit.oom_killed, exit.code) {
                (true, _) => "OOMKilled",
                (false, 0) => "Completed",
                (false, _) => "Error",
            };
        }
        if let Some(error) = &shim.start_error {
            exit_code = exit_code.map(|_| START_ERROR_CODE);
            reason = "StartError";
            message = error.clone();
        }
        ContainerStatus {
            id: self.id.clone(),
            sandbox: sandbox.id.clone(),
            config: record.config.clone(),
            state,
            pid: (shim.exit.is_none() && shim.pid != 0).then_some(shim.pid),
            created_at: record.created_at,
            started_at: shim.started_at_ns.map(time),
            finished_at: shim.exit.map(|exit| time(exit.finished_at_ns)),
            exit_code,
            signal: shim.exit.and_then(|exit| exit.signal).map(Signal),
            reason: reason.to_owned(),
            message,
            image_id: record.image_id.clone(),
            image_ref: record.image_ref.clone(),
            log_path: record.config.log_path.as_ref().map(|path| sandbox.record.config.log_dir.join(path)),
            user: (shim.phase != Phase::Creating).then(|| ContainerUser {
                uid: i64::from(shim.user.uid),
                gid: i64::from(shim.user.gid),
                supplemental_groups: shim.user.groups.iter().map(|gid| i64::from(*gid)).collect(),
            }),
        }
    }
}
