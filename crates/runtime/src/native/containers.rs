//! Making, starting, stopping and removing containers.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cox_shim::protocol::{Call, ContainerState as ShimContainer, Phase, Reply, ResolvedUser};
use cox_sys::cgroup::{Cgroup, DeviceRule};
use jiff::Timestamp;

use super::model::{Container, Sandbox};
use super::records::{self, CONTAINER_FILE, ContainerRecord};
use super::{Inner, blocking, cgroup_error, limits, spec};
use crate::image::StoredImage;
use crate::types::*;
use crate::{Result, RuntimeError};

impl Inner {
    pub(super) async fn create_container(
        self: Arc<Self>,
        sandbox: &SandboxId,
        config: ContainerConfig,
    ) -> Result<ContainerId> {
        let sandbox = self.sandbox(sandbox)?;
        let client = sandbox.client()?;
        let image = self
            .images
            .find(&config.image)?
            .ok_or_else(|| RuntimeError::NotFound { kind: "image", name: config.image.clone() })?;
        let id = ContainerId(records::new_id()?);
        let dir = sandbox.dir.join("containers").join(id.as_str());
        let record = self.record(config, &image);
        let prepared = {
            let (inner, sandbox, id, dir, record) =
                (self.clone(), sandbox.clone(), id.clone(), dir.clone(), record.clone());
            blocking(move || {
                let group = inner.container_cgroup(&sandbox, &id)?;
                let prepare = || {
                    let built = spec::build(&inner, &sandbox, &id, &dir, &record.config, &image, &group)?;
                    {
                        // Somebody may have removed it since it was found.
                        let _held = inner.images.hold()?;
                        if inner.images.find(&image.id)?.is_none() {
                            return Err(RuntimeError::NotFound { kind: "image", name: image.id.clone() });
                        }
                        make_dirs(&dir, &sandbox, &record)?;
                    }
                    set_up_cgroup(&group, &record.config, &built.devices)?;
                    Ok(built.spec)
                };
                prepare().inspect_err(|_: &RuntimeError| clean_up(&group, &dir))
            })
            .await?
        };
        match client.call(Call::Create(Box::new(prepared))).await {
            Ok(Reply::Created { pid, user, oom_score_clamped }) => {
                if oom_score_clamped {
                    self.tell_oom_score_clamped();
                }
                let shim = shim_state(&id, pid, user, record.created_at);
                sandbox.add(Arc::new(Container::new(id.clone(), dir, record, shim)));
                Ok(id)
            }
            other => {
                // The supervisor may still have it, with a child that failed.
                let _ = client.call(Call::Remove { id: id.to_string() }).await;
                let group = self.container_cgroup(&sandbox, &id)?;
                blocking(move || {
                    clean_up(&group, &dir);
                    Ok(())
                })
                .await?;
                match other {
                    Ok(reply) => Err(RuntimeError::Protocol(format!("unexpected reply {reply:?}"))),
                    Err(e) => Err(e),
                }
            }
        }
    }

    fn record(&self, config: ContainerConfig, image: &StoredImage) -> ContainerRecord {
        let info = self.images.info(&image.id);
        let digest = info.and_then(|info| info.repo_digests.first().cloned());
        let of_image = || Signal::parse(&image.config.stop_signal);
        ContainerRecord {
            created_at: Timestamp::now(),
            image_id: image.id.clone(),
            image_ref: digest.unwrap_or_else(|| image.id.clone()),
            stop_signal: config.stop_signal.or_else(of_image).unwrap_or(Signal::TERM),
            config,
        }
    }

    pub(super) fn container_cgroup(&self, sandbox: &Sandbox, id: &ContainerId) -> Result<Cgroup> {
        self.pod_cgroup(&sandbox.id, &sandbox.record.config)?.child(id.as_str()).map_err(cgroup_error)
    }

    pub(super) async fn start_container(&self, id: &ContainerId) -> Result<()> {
        let (sandbox, container) = self.container(id)?;
        match sandbox.client()?.call(Call::Start { id: id.to_string() }).await {
            Ok(Reply::Started { started_at_ns }) => {
                container.started(started_at_ns);
                self.tell(RuntimeEvent::ContainerStarted {
                    sandbox: sandbox.id.clone(),
                    container: id.clone(),
                });
                Ok(())
            }
            Ok(reply) => Err(RuntimeError::Protocol(format!("unexpected reply {reply:?}"))),
            Err(RuntimeError::Create(message)) => {
                container.start_failed(&message);
                // Its status is final when the caller looks.
                container.wait().await;
                Err(RuntimeError::Start(message))
            }
            Err(e) => Err(e),
        }
    }

    pub(super) async fn signal_container(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        let (sandbox, container) = self.container(id)?;
        if container.phase() == Phase::Exited {
            return Ok(());
        }
        match sandbox.client()?.call(Call::Signal { id: id.to_string(), signal: signal.0 }).await {
            // With the supervisor the container is gone too.
            Ok(_) | Err(RuntimeError::SandboxGone(_)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    pub(super) async fn stop_container(
        &self,
        id: &ContainerId,
        grace: Duration,
        signal: Option<Signal>,
    ) -> Result<()> {
        let (_, container) = match self.container(id) {
            Err(e) if e.is_not_found() => return Ok(()),
            other => other?,
        };
        if container.phase() == Phase::Exited {
            return Ok(());
        }
        // One that was never started has nobody to ask.
        if !grace.is_zero() && container.phase() == Phase::Running {
            self.signal_container(id, signal.unwrap_or(container.record.stop_signal)).await?;
            if tokio::time::timeout(grace, container.wait()).await.is_ok() {
                return Ok(());
            }
        }
        self.signal_container(id, Signal::KILL).await?;
        container.wait().await;
        Ok(())
    }

    pub(super) async fn remove_container(self: Arc<Self>, id: &ContainerId) -> Result<()> {
        let (sandbox, container) = match self.container(id) {
            Err(e) if e.is_not_found() => return Ok(()),
            other => other?,
        };
        if let Ok(client) = sandbox.client() {
            match client.call(Call::Remove { id: id.to_string() }).await {
                Ok(_) | Err(RuntimeError::SandboxGone(_)) => {}
                Err(e) => return Err(e),
            }
        }
        let group = self.container_cgroup(&sandbox, id)?;
        let dir = container.dir.clone();
        blocking(move || {
            group.kill_all().and_then(|()| group.remove()).map_err(cgroup_error)?;
            let _ = fs::remove_file(dir.join(CONTAINER_FILE));
            records::remove_tree(&dir)
        })
        .await?;
        sandbox.forget(id);
        let inner = self.clone();
        blocking(move || inner.images.collect(&inner.images_in_use())).await
    }

    pub(super) async fn reopen_log(&self, id: &ContainerId) -> Result<()> {
        let (sandbox, _) = self.container(id)?;
        sandbox.client()?.call(Call::ReopenLog { id: id.to_string() }).await.map(drop)
    }
}

fn shim_state(id: &ContainerId, pid: u32, user: ResolvedUser, created_at: Timestamp) -> ShimContainer {
    ShimContainer {
        id: id.to_string(),
        pid,
        pid_start_ticks: 0,
        phase: Phase::Created,
        user,
        created_at_ns: created_at.as_nanosecond() as i64,
        started_at_ns: None,
        start_error: None,
        exit: None,
    }
}

fn make_dirs(dir: &Path, sandbox: &Sandbox, record: &ContainerRecord) -> Result<()> {
    for name in ["upper", "work", "rootfs"] {
        let path = dir.join(name);
        fs::create_dir_all(&path).map_err(RuntimeError::file("create", &path))?;
        // The upper directory's owner and mode are those of `/` in the container.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(RuntimeError::file("chmod", &path))?;
        if let Some(map) = sandbox.record.config.user_namespace {
            chown(&path, Some(map.host_uid_base), Some(map.host_gid_base))
                .map_err(RuntimeError::file("chown", &path))?;
        }
    }
    records::write(&dir.join(CONTAINER_FILE), record)
}

fn set_up_cgroup(group: &Cgroup, config: &ContainerConfig, devices: &[DeviceRule]) -> Result<()> {
    group.create().map_err(cgroup_error)?;
    group.set(&limits(&config.resources)).map_err(cgroup_error)?;
    if !config.security.privileged {
        let rules: Vec<DeviceRule> = DeviceRule::CONTAINER_DEFAULT.iter().chain(devices).copied().collect();
        group.allow_devices(&rules).map_err(cgroup_error)?;
    }
    Ok(())
}

fn clean_up(group: &Cgroup, dir: &Path) {
    let _ = group.kill_all();
    let _ = group.remove();
    let _ = records::remove_tree(dir);
}
