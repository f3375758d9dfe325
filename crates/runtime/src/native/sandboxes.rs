//! Making and ending sandboxes.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use cox_shim::protocol::{self, Call, Event, IdMap, PidMode, READY, SPEC_FILE, SandboxSpec};
use cox_sys::cgroup::Cgroup;
use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::client::{Client, Receiver};
use super::model::Sandbox;
use super::records::{self, SANDBOX_FILE, SandboxRecord};
use super::{Inner, blocking, cgroup_error, limits};
use crate::types::*;
use crate::{Result, RuntimeError};

/// How long a supervisor may take to end once it has said that it will.
const SUPERVISOR_ENDS_SECONDS_MAX: i64 = 5;

/// Size of `/dev/shm`, as containerd and docker have it.
const SHM_BYTES: u64 = 64 * 1024 * 1024;

impl Inner {
    pub(super) async fn run_sandbox(self: Arc<Self>, config: SandboxConfig) -> Result<SandboxId> {
        check(&config)?;
        let id = SandboxId(records::new_id()?);
        let dir = self.pods_dir().join(id.as_str());
        let record = SandboxRecord { config, created_at: Timestamp::now() };
        let sandbox = Arc::new(Sandbox::new(id.clone(), dir.clone(), record.clone()));
        let inner = self.clone();
        let started = {
            let (id, dir) = (id.clone(), dir.clone());
            blocking(move || {
                inner.start_supervisor(&id, &dir, &record).inspect_err(|_| inner.clean_up(&id, &dir, &record))
            })
            .await
        };
        started?;
        match Client::connect(&dir).await {
            Ok((client, receiver, state)) => {
                sandbox.connected(client, state.pid);
                self.sandboxes().insert(id.clone(), sandbox.clone());
                self.clone().listen(sandbox, receiver);
                Ok(id)
            }
            Err(e) => {
                let record = sandbox.record.clone();
                let inner = self.clone();
                let cleaned = id.clone();
                let _ = blocking(move || {
                    inner.clean_up(&cleaned, &dir, &record);
                    Ok(())
                })
                .await;
                Err(e)
            }
        }
    }

    fn start_supervisor(&self, id: &SandboxId, dir: &Path, record: &SandboxRecord) -> Result<()> {
        let config = &record.config;
        let containers = dir.join("containers");
        fs::create_dir_all(&containers).map_err(RuntimeError::file("create", &containers))?;
        let group = self.pod_cgroup(id, config)?;
        group.create().and_then(|()| group.set(&limits(&config.resources))).map_err(cgroup_error)?;
        records::write(&dir.join(SANDBOX_FILE), record)?;
        records::write(&dir.join(SPEC_FILE), &spec(config, self.shim_cgroup.clone()))?;
        let log = dir.join("shim.log");
        let log = fs::File::create(&log).map_err(RuntimeError::file("create", &log))?;
        let mut child = Command::new(self.shim.program())
            .arg0("cox-shim")
            .arg(dir)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(RuntimeError::os("start cox-shim"))?;
        // It ends when the supervisor is ready or has failed, which closes this.
        let mut said = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut said).map_err(RuntimeError::os("read from cox-shim"))?;
        }
        child.wait().map_err(RuntimeError::os("wait for cox-shim"))?;
        match said.as_str() {
            READY => Ok(()),
            "" => Err(RuntimeError::Create("failed to create sandbox: cox-shim was killed".to_owned())),
            message => Err(RuntimeError::Create(format!("failed to create sandbox: {message}"))),
        }
    }

    /// Listens to a sandbox's supervisor until it is gone.
    pub(super) fn listen(self: Arc<Self>, sandbox: Arc<Sandbox>, receiver: Receiver) {
        let (inner, listened) = (Arc::downgrade(&self), sandbox.clone());
        drop(self);
        tokio::spawn(async move {
            let handle = {
                let inner = inner.clone();
                move |event| {
                    if let Some(inner) = inner.upgrade() {
                        inner.handle(&listened, event);
                    }
                }
            };
            receiver.serve(handle).await;
            if let Some(inner) = inner.upgrade() {
                inner.connection_lost(sandbox).await;
            }
        });
    }

    fn handle(&self, sandbox: &Sandbox, event: Event) {
        let Event::ContainerExited { id, exit } = event else { return };
        let id = ContainerId(id);
        let Some(container) = sandbox.container(&id) else { return };
        container.exited(exit);
        self.tell(RuntimeEvent::ContainerExited {
            sandbox: sandbox.id.clone(),
            container: id,
            exit_code: exit.code,
            oom_killed: exit.oom_killed,
            finished_at: Timestamp::from_nanosecond(i128::from(exit.finished_at_ns)).unwrap_or_default(),
        });
    }

    /// The connection has ended: the supervisor is gone, or we were too slow for it and connect again.
    async fn connection_lost(self: Arc<Self>, sandbox: Arc<Sandbox>) {
        if sandbox.is_stopping() {
            return;
        }
        if let Ok((client, receiver, state)) = Client::connect(&sandbox.dir).await {
            sandbox.connected(client, state.pid);
            for container in state.containers {
                if let Some(known) = sandbox.container(&ContainerId(container.id.clone())) {
                    known.replace(container);
                }
            }
            self.tell(RuntimeEvent::Missed);
            return self.listen(sandbox, receiver);
        }
        self.supervisor_gone(&sandbox).await;
    }

    /// What is left of a sandbox without supervisor is killed, and everybody is told.
    pub(super) async fn supervisor_gone(&self, sandbox: &Sandbox) {
        // The kernel has killed the containers' first processes; programs can have opted out of that.
        if let Err(error) = self.kill_what_is_left(sandbox).await {
            tracing::warn!(sandbox = %sandbox.id, %error, "killing what is left of a sandbox");
        }
        for container in sandbox.disconnected() {
            let shim = container.shim();
            self.tell(RuntimeEvent::ContainerExited {
                sandbox: sandbox.id.clone(),
                container: container.id.clone(),
                exit_code: shim.exit.map_or(0, |exit| exit.code),
                oom_killed: false,
                finished_at: Timestamp::now(),
            });
        }
        self.tell(RuntimeEvent::SandboxGone { sandbox: sandbox.id.clone() });
    }

    pub(super) async fn stop_sandbox(&self, id: &SandboxId) -> Result<()> {
        let sandbox = match self.sandbox(id) {
            Err(e) if e.is_not_found() => return Ok(()),
            other => other?,
        };
        let Some(client) = sandbox.begin_stop() else { return Ok(()) };
        let supervisor = sandbox.supervisor();
        // If it is gone already, that is what was wanted.
        match client.call(Call::Shutdown).await {
            Ok(_) | Err(RuntimeError::SandboxGone(_)) => {}
            Err(e) => return Err(e),
        }
        let killed = self.kill_what_is_left(&sandbox).await;
        let ended = blocking(move || supervisor.as_ref().map_or(Ok(()), wait_until_gone)).await;
        sandbox.disconnected();
        killed.and(ended)
    }

    /// The cgroups of a sandbox's own containers. The pod's is shared by all sandboxes that are made for the pod.
    fn own_cgroups(&self, sandbox: &Sandbox) -> Result<Vec<Cgroup>> {
        let pod = self.pod_cgroup(&sandbox.id, &sandbox.record.config)?;
        let dir = sandbox.dir.join("containers");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(RuntimeError::file("list", &dir)(error)),
        };
        entries
            .flatten()
            .map(|entry| pod.child(&entry.file_name().to_string_lossy()).map_err(cgroup_error))
            .collect()
    }

    /// Kills what still runs of a sandbox's containers, and nothing of another sandbox of the same pod.
    pub(super) async fn kill_what_is_left(&self, sandbox: &Sandbox) -> Result<()> {
        let groups = self.own_cgroups(sandbox)?;
        blocking(move || groups.iter().try_for_each(Cgroup::kill_all).map_err(cgroup_error)).await
    }

    /// Whether another sandbox is in the same pod's cgroup.
    fn shares_cgroup(&self, sandbox: &Sandbox) -> Result<bool> {
        let name = |of: &Sandbox| {
            let group = self.pod_cgroup(&of.id, &of.record.config)?;
            Ok::<_, RuntimeError>(group.name().to_owned())
        };
        let ours = name(sandbox)?;
        let others: Vec<Arc<Sandbox>> = self.sandboxes().values().cloned().collect();
        Ok(others.iter().any(|other| other.id != sandbox.id && name(other).is_ok_and(|name| name == ours)))
    }

    pub(super) async fn remove_sandbox(self: Arc<Self>, id: &SandboxId) -> Result<()> {
        self.stop_sandbox(id).await?;
        let sandbox = match self.sandbox(id) {
            Err(e) if e.is_not_found() => return Ok(()),
            other => other?,
        };
        let inner = self.clone();
        let removed = sandbox.clone();
        blocking(move || {
            if inner.shares_cgroup(&removed)? {
                inner.own_cgroups(&removed)?.iter().try_for_each(Cgroup::remove).map_err(cgroup_error)?;
            } else {
                inner.pod_cgroup(&removed.id, &removed.record.config)?.remove().map_err(cgroup_error)?;
            }
            unmount_shm(&removed.dir);
            // First the name, so that a crash in between doesn't leave half a sandbox to be found.
            let _ = fs::remove_file(removed.dir.join(SANDBOX_FILE));
            records::remove_tree(&removed.dir)
        })
        .await?;
        self.sandboxes().remove(id);
        let inner = self.clone();
        blocking(move || inner.images.collect(&inner.images_in_use())).await
    }

    /// Takes back what was made for a sandbox that didn't come to be.
    pub(super) fn clean_up(&self, id: &SandboxId, dir: &Path, record: &SandboxRecord) {
        // It had no containers yet. An earlier sandbox of the pod may still have some: then the group stays.
        if let Ok(group) = self.pod_cgroup(id, &record.config) {
            let _ = group.remove();
        }
        if let NetworkNamespace::Create(path) = &record.config.network {
            let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
            let _ = fs::remove_file(path);
        }
        unmount_shm(dir);
        let _ = records::remove_tree(dir);
    }
}

/// Waits for the end of a supervisor that has been told to end, so that nothing of it is there afterwards.
fn wait_until_gone(supervisor: &OwnedFd) -> Result<()> {
    let mut wanted = [PollFd::new(supervisor, PollFlags::IN)];
    let limit = Timespec { tv_sec: SUPERVISOR_ENDS_SECONDS_MAX, tv_nsec: 0 };
    match rustix::io::retry_on_intr(|| poll(&mut wanted, Some(&limit))) {
        Ok(0) => {
            tracing::warn!("a supervisor was told to end and hasn't within {SUPERVISOR_ENDS_SECONDS_MAX} s")
        }
        Ok(_) => {}
        Err(error) => {
            return Err(RuntimeError::Os {
                what: "waiting for a supervisor's end".into(),
                source: error.into(),
            });
        }
    }
    Ok(())
}

/// A supervisor that was killed on an old kernel leaves this mount.
pub(super) fn unmount_shm(dir: &Path) {
    let shm = dir.join("shm");
    if shm.exists() {
        let _ = rustix::mount::unmount(&shm, rustix::mount::UnmountFlags::DETACH);
    }
}

fn spec(config: &SandboxConfig, cgroup_join: Vec<PathBuf>) -> SandboxSpec {
    let host_network = config.network == NetworkNamespace::Host;
    SandboxSpec {
        version: protocol::VERSION,
        hostname: (!host_network && !config.hostname.is_empty()).then(|| config.hostname.clone()),
        network: match &config.network {
            NetworkNamespace::Host => protocol::Network::Host,
            NetworkNamespace::Path(path) => protocol::Network::Join(path.clone()),
            NetworkNamespace::Create(path) => protocol::Network::Create(path.clone()),
        },
        host_ipc: config.host_ipc,
        pid: match (config.host_pid, config.share_process_namespace) {
            (true, _) => PidMode::Host,
            (false, true) => PidMode::Pod,
            (false, false) => PidMode::Container,
        },
        user_namespace: config.user_namespace.map(|map| IdMap {
            uid: map.host_uid_base,
            gid: map.host_gid_base,
            size: map.size,
        }),
        sysctls: config.sysctls.clone(),
        shm_size_bytes: SHM_BYTES,
        cgroup_join,
    }
}

/// Refuses what can't be or what would reach the host.
fn check(config: &SandboxConfig) -> Result<()> {
    let invalid = |message: String| Err(RuntimeError::Invalid(message));
    if config.user_namespace.is_some() && (config.host_pid || config.host_ipc) {
        return invalid("user_namespace: can't be combined with host_pid or host_ipc".to_owned());
    }
    if config
        .user_namespace
        .is_some_and(|map| map.size == 0 || map.host_uid_base == 0 || map.host_gid_base == 0)
    {
        return invalid(
            "user_namespace: the mapping has to be non-empty and without the host's root".to_owned(),
        );
    }
    for name in config.sysctls.keys() {
        let ipc = name.starts_with("kernel.shm")
            || name.starts_with("kernel.msg")
            || name == "kernel.sem"
            || name.starts_with("fs.mqueue.");
        let net = name.starts_with("net.");
        if name.contains(['/', '\0']) || name.split('.').any(str::is_empty) || !(ipc || net) {
            return invalid(format!("sysctls: {name:?} does not belong to a namespace of the pod"));
        }
        if net && config.network == NetworkNamespace::Host {
            return invalid(format!("sysctls: {name:?} is not allowed with the host's network"));
        }
        if ipc && config.host_ipc {
            return invalid(format!("sysctls: {name:?} is not allowed with the host's IPC namespace"));
        }
    }
    Ok(())
}
