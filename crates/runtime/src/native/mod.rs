//! The runtime of this crate: supervisors, overlays, cgroups.
//!
//! ```text
//! <state>/bin/cox-shim-<digest>      the supervisor's executable
//! <state>/images/                    see `image`, unless nodes share a store
//! <state>/pods/<sandbox>/            a sandbox: sandbox.json (ours), spec.json, state.json, shim.sock (the supervisor's)
//! <state>/pods/<sandbox>/containers/<container>/   container.json, upper/, work/, rootfs/ (where it is mounted)
//! ```

mod client;
mod containers;
mod events;
mod exec;
mod images;
mod link;
mod model;
mod port_forward;
mod purge;
mod reconnect;
mod records;
mod sandboxes;
mod spec;
mod stats;
mod terminal;

pub use records::images_in_use;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use cox_sys::cgroup::{Cgroup, Hierarchy, Limits, Version};
use futures::stream::BoxStream;
use tokio::net::TcpStream;
use tokio::sync::broadcast;

use crate::image::ImageStore;
use crate::shim_binary::ShimBinary;
use crate::traits::Runtime;
use crate::types::*;
use crate::{Result, RuntimeError};

use model::{Container, Sandbox};

/// How many events wait for a receiver before it misses some.
const EVENTS_MAX: usize = 4096;

/// A node's runtime. Cloning shares it. Dropping it leaves everything running.
#[derive(Clone)]
pub struct NativeRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    config: RuntimeConfig,
    images: Arc<ImageStore>,
    hierarchy: Arc<Hierarchy>,
    shim: ShimBinary,
    /// Files by which supervisors join their own cgroup.
    shim_cgroup: Vec<PathBuf>,
    events: broadcast::Sender<RuntimeEvent>,
    sandboxes: Mutex<BTreeMap<SandboxId, Arc<Sandbox>>>,
    told_oom_score: AtomicBool,
}

impl NativeRuntime {
    /// Opens a node's runtime, made if it is missing, and finds the sandboxes that run. To be called inside a tokio
    /// runtime.
    pub async fn open(config: RuntimeConfig) -> Result<Self> {
        let dir = config.state_dir.join("images");
        let images = blocking(move || ImageStore::open(&dir)).await?;
        Self::open_with_images(config, Arc::new(images)).await
    }

    /// The same with an image store that other nodes of this machine share.
    pub async fn open_with_images(config: RuntimeConfig, images: Arc<ImageStore>) -> Result<Self> {
        let inner = blocking(move || Inner::prepare(config, images)).await?;
        let runtime = NativeRuntime { inner: Arc::new(inner) };
        runtime.inner.clone().reconnect_all().await?;
        Ok(runtime)
    }

    /// The image store, for commands that work on it without a node.
    pub fn images(&self) -> &Arc<ImageStore> {
        &self.inner.images
    }
}

impl Inner {
    fn prepare(config: RuntimeConfig, images: Arc<ImageStore>) -> Result<Self> {
        let state = &config.state_dir;
        for dir in [state.clone(), state.join("pods")] {
            std::fs::create_dir_all(&dir).map_err(RuntimeError::file("create", &dir))?;
        }
        // What containers write is theirs and the node's, not the host's users'.
        let pods = state.join("pods");
        std::fs::set_permissions(&pods, std::fs::Permissions::from_mode(0o700))
            .map_err(RuntimeError::file("chmod", &pods))?;
        images.add_user(state)?;
        let hierarchy = Arc::new(Hierarchy::detect().map_err(cgroup_error)?);
        // Beside the pods, so that no pod's memory limit counts a supervisor.
        let group = Cgroup::new(hierarchy.clone(), &config.cgroup_root).and_then(|root| root.child("shims"));
        let group = group.map_err(cgroup_error)?;
        group.create().map_err(cgroup_error)?;
        Ok(Inner {
            images,
            shim: ShimBinary::extract(&state.join("bin"))?,
            shim_cgroup: group.join_files(),
            hierarchy,
            events: broadcast::channel(EVENTS_MAX).0,
            sandboxes: Mutex::default(),
            told_oom_score: AtomicBool::new(false),
            config,
        })
    }

    fn sandboxes(&self) -> MutexGuard<'_, BTreeMap<SandboxId, Arc<Sandbox>>> {
        // A panic in between leaves a map that is whole.
        self.sandboxes.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn sandbox(&self, id: &SandboxId) -> Result<Arc<Sandbox>> {
        let found = self.sandboxes().get(id).cloned();
        found.ok_or_else(|| RuntimeError::NotFound { kind: "sandbox", name: id.to_string() })
    }

    fn container(&self, id: &ContainerId) -> Result<(Arc<Sandbox>, Arc<Container>)> {
        let sandboxes = self.sandboxes();
        let found = sandboxes.values().find_map(|s| s.container(id).map(|c| (s.clone(), c)));
        found.ok_or_else(|| RuntimeError::NotFound { kind: "container", name: id.to_string() })
    }

    fn pods_dir(&self) -> PathBuf {
        self.config.state_dir.join("pods")
    }

    fn pod_cgroup(&self, id: &SandboxId, config: &SandboxConfig) -> Result<Cgroup> {
        let parent = match config.cgroup_parent.trim_matches('/') {
            "" => format!("pods/{id}"),
            parent => parent.to_owned(),
        };
        Cgroup::new(self.hierarchy.clone(), &format!("{}/{parent}", self.config.cgroup_root))
            .map_err(cgroup_error)
    }

    /// Images that containers use.
    fn images_in_use(&self) -> BTreeSet<String> {
        let sandboxes = self.sandboxes();
        sandboxes.values().flat_map(|s| s.containers()).map(|c| c.record.image_id.clone()).collect()
    }

    fn tell(&self, event: RuntimeEvent) {
        // Nobody listening is fine: who comes later lists.
        let _ = self.events.send(event);
    }

    /// Upstream's behaviour on machines without CAP_SYS_RESOURCE is to clamp; people should know, once.
    fn tell_oom_score_clamped(&self) {
        if !self.told_oom_score.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the kernel refuses to lower oom_score_adj (CAP_SYS_RESOURCE is missing): containers keep the agent's"
            );
        }
    }
}

fn cgroup_error(e: cox_sys::cgroup::Error) -> RuntimeError {
    RuntimeError::os("cgroup")(std::io::Error::other(e))
}

fn limits(resources: &Resources) -> Limits {
    Limits {
        cpu_shares: resources.cpu_shares,
        cpu_quota_us: resources.cpu_quota_us,
        cpu_period_us: resources.cpu_period_us,
        memory_limit_bytes: resources.memory_limit_bytes,
        pids_max: resources.pids_max,
        cpuset_cpus: resources.cpuset_cpus.clone(),
        cpuset_mems: resources.cpuset_mems.clone(),
        unified: resources.unified.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
    }
}

/// Runs something that waits for the disk or the kernel where it holds up nobody else.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(RuntimeError::os("runtime task")(std::io::Error::other(e))),
    }
}

#[async_trait]
impl Runtime for NativeRuntime {
    fn info(&self) -> RuntimeInfo {
        RuntimeInfo {
            name: "cox".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cgroup_version: match self.inner.hierarchy.version() {
                Version::V1 => 1,
                Version::V2 => 2,
            },
            user_namespaces: Path::new("/proc/self/ns/user").exists(),
            recursive_readonly_mounts: true,
        }
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        events::stream(self.inner.events.subscribe())
    }

    async fn run_sandbox(&self, config: SandboxConfig) -> Result<SandboxId> {
        self.inner.clone().run_sandbox(config).await
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()> {
        self.inner.stop_sandbox(id).await
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()> {
        self.inner.clone().remove_sandbox(id).await
    }

    async fn sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus> {
        Ok(self.inner.sandbox(id)?.status())
    }

    async fn list_sandboxes(&self) -> Result<Vec<SandboxStatus>> {
        let mut all: Vec<SandboxStatus> = self.inner.sandboxes().values().map(|s| s.status()).collect();
        all.sort_by_key(|s| s.created_at);
        Ok(all)
    }

    async fn update_sandbox_resources(&self, id: &SandboxId, resources: &Resources) -> Result<()> {
        let sandbox = self.inner.sandbox(id)?;
        let group = self.inner.pod_cgroup(id, &sandbox.record.config)?;
        let limits = limits(resources);
        blocking(move || group.set(&limits).map_err(cgroup_error)).await
    }

    async fn port_forward(&self, id: &SandboxId, port: u16) -> Result<TcpStream> {
        self.inner.port_forward(id, port).await
    }

    async fn create_container(&self, sandbox: &SandboxId, config: ContainerConfig) -> Result<ContainerId> {
        self.inner.clone().create_container(sandbox, config).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<()> {
        self.inner.start_container(id).await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration, signal: Option<Signal>) -> Result<()> {
        self.inner.stop_container(id, grace, signal).await
    }

    async fn signal_container(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        self.inner.signal_container(id, signal).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<()> {
        self.inner.clone().remove_container(id).await
    }

    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus> {
        let (sandbox, container) = self.inner.container(id)?;
        Ok(container.status(&sandbox))
    }

    async fn list_containers(&self, sandbox: Option<&SandboxId>) -> Result<Vec<ContainerStatus>> {
        let sandboxes: Vec<Arc<Sandbox>> = match sandbox {
            Some(id) => vec![self.inner.sandbox(id)?],
            None => self.inner.sandboxes().values().cloned().collect(),
        };
        let mut all: Vec<ContainerStatus> = sandboxes
            .iter()
            .flat_map(|s| s.containers().into_iter().map(|c| c.status(s)).collect::<Vec<_>>())
            .collect();
        all.sort_by_key(|c| c.created_at);
        Ok(all)
    }

    async fn update_resources(&self, id: &ContainerId, resources: &Resources) -> Result<()> {
        let (sandbox, container) = self.inner.container(id)?;
        let group = self.inner.pod_cgroup(&sandbox.id, &sandbox.record.config)?;
        let group = group.child(container.id.as_str()).map_err(cgroup_error)?;
        let limits = limits(resources);
        blocking(move || group.set(&limits).map_err(cgroup_error)).await
    }

    async fn exec_sync(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Option<Duration>,
    ) -> Result<ExecSyncResult> {
        self.inner.exec_sync(id, command, timeout).await
    }

    async fn exec(&self, id: &ContainerId, command: &[String], streams: StreamOptions) -> Result<Streams> {
        self.inner.exec(id, command, streams).await
    }

    async fn attach(&self, id: &ContainerId, options: StreamOptions) -> Result<Streams> {
        self.inner.attach(id, options).await
    }

    async fn reopen_log(&self, id: &ContainerId) -> Result<()> {
        self.inner.reopen_log(id).await
    }

    async fn container_stats(&self, id: &ContainerId) -> Result<ContainerStats> {
        self.inner.container_stats(id).await
    }

    async fn sandbox_stats(&self, id: &SandboxId) -> Result<SandboxStats> {
        self.inner.sandbox_stats(id).await
    }

    async fn image_status(&self, reference: &str) -> Result<Option<ImageInfo>> {
        self.inner.image_status(reference)
    }

    async fn list_images(&self) -> Result<Vec<ImageInfo>> {
        self.inner.images.list()
    }

    async fn pull_image(&self, reference: &str, auth: Option<&RegistryAuth>) -> Result<String> {
        self.inner.pull_image(reference, auth)
    }

    async fn load_archive(&self, path: &Path) -> Result<Vec<ImageInfo>> {
        self.inner.clone().load_archive(path).await
    }

    async fn build_from_dir(&self, dir: &Path, reference: &str, config: ImageConfig) -> Result<ImageInfo> {
        self.inner.clone().build_from_dir(dir, reference, config).await
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        let (inner, reference) = (self.inner.clone(), reference.to_owned());
        blocking(move || inner.images.remove(&reference, &inner.images_in_use())).await
    }

    async fn image_fs_usage(&self) -> Result<FsUsage> {
        let inner = self.inner.clone();
        blocking(move || inner.images.usage()).await
    }
}
