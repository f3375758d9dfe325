//! The interface between the kubelet and whatever runs its containers.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::net::TcpStream;

use crate::Result;
use crate::types::*;

/// A container runtime. Calls may run concurrently; calls about one container are put in order by the runtime.
/// Stopping and removing are idempotent: what is gone already counts as done.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Name, version and what it can do.
    fn info(&self) -> RuntimeInfo;

    /// What happens, from now on. Nothing needs to be polled: every exit is reported here. A receiver that
    /// doesn't keep up gets [`RuntimeEvent::Missed`] and lists again.
    fn events(&self) -> BoxStream<'static, RuntimeEvent>;

    // === sandboxes ===

    /// Makes the namespaces and cgroup of a pod and starts its supervisor.
    async fn run_sandbox(&self, config: SandboxConfig) -> Result<SandboxId>;

    /// Kills what still runs in the sandbox and gives up its namespaces. Its records and its containers' logs
    /// and exit codes stay until it is removed.
    async fn stop_sandbox(&self, id: &SandboxId) -> Result<()>;

    /// Stops the sandbox if need be and removes it with its containers.
    async fn remove_sandbox(&self, id: &SandboxId) -> Result<()>;

    /// One sandbox.
    async fn sandbox_status(&self, id: &SandboxId) -> Result<SandboxStatus>;

    /// All sandboxes, oldest first.
    async fn list_sandboxes(&self) -> Result<Vec<SandboxStatus>>;

    /// Replaces the limits of the pod's cgroup.
    async fn update_sandbox_resources(&self, id: &SandboxId, resources: &Resources) -> Result<()>;

    /// Connects to a TCP port inside the pod's network namespace, on its loopback addresses.
    async fn port_forward(&self, id: &SandboxId, port: u16) -> Result<TcpStream>;

    // === containers ===

    /// Prepares a container in a sandbox: file system, mounts, namespaces, up to the point where only the
    /// program needs to be executed.
    async fn create_container(&self, sandbox: &SandboxId, config: ContainerConfig) -> Result<ContainerId>;

    /// Lets a created container run.
    async fn start_container(&self, id: &ContainerId) -> Result<()>;

    /// Sends the stop signal (`signal`, else the configuration's, else the image's, else `SIGTERM`), waits up to
    /// `grace` and kills. With a `grace` of zero it kills at once. Returns when the container is gone.
    async fn stop_container(&self, id: &ContainerId, grace: Duration, signal: Option<Signal>) -> Result<()>;

    /// Sends one signal to the container's process and doesn't wait.
    async fn signal_container(&self, id: &ContainerId, signal: Signal) -> Result<()>;

    /// Removes a container, killing it if it runs. Its log file stays (it is the kubelet's).
    async fn remove_container(&self, id: &ContainerId) -> Result<()>;

    /// One container.
    async fn container_status(&self, id: &ContainerId) -> Result<ContainerStatus>;

    /// All containers, or those of one sandbox, oldest first.
    async fn list_containers(&self, sandbox: Option<&SandboxId>) -> Result<Vec<ContainerStatus>>;

    /// Replaces those limits of a container that are given.
    async fn update_resources(&self, id: &ContainerId, resources: &Resources) -> Result<()>;

    /// Runs a command and collects its output (each stream up to [`EXEC_SYNC_OUTPUT_BYTES_MAX`]). After
    /// `timeout` (if any) it is killed: [`RuntimeError::ExecTimeout`](crate::RuntimeError::ExecTimeout).
    async fn exec_sync(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Option<Duration>,
    ) -> Result<ExecSyncResult>;

    /// Runs a command with its streams connected. Dropping the handles and the exit future kills it.
    async fn exec(&self, id: &ContainerId, command: &[String], streams: StreamOptions) -> Result<Streams>;

    /// Connects to the streams of a container's own process. `options.tty` has to be what the container has.
    async fn attach(&self, id: &ContainerId, options: StreamOptions) -> Result<Streams>;

    /// Closes the log file and opens it anew by name, after it was renamed for rotation.
    async fn reopen_log(&self, id: &ContainerId) -> Result<()>;

    /// What a container uses now.
    async fn container_stats(&self, id: &ContainerId) -> Result<ContainerStats>;

    /// What a pod uses now: its cgroup, so all containers together.
    async fn sandbox_stats(&self, id: &SandboxId) -> Result<SandboxStats>;

    // === images ===

    /// The image behind a reference (name, name with digest, or id), if it is present.
    async fn image_status(&self, reference: &str) -> Result<Option<ImageInfo>>;

    /// All images, by id.
    async fn list_images(&self) -> Result<Vec<ImageInfo>>;

    /// Fetches an image from its registry, unless it is present; gives its id.
    async fn pull_image(&self, reference: &str, auth: Option<&RegistryAuth>) -> Result<String>;

    /// Loads the images of an archive (docker archive or OCI layout; plain, gzip or zstd) under the names it
    /// gives them.
    async fn load_archive(&self, path: &Path) -> Result<Vec<ImageInfo>>;

    /// Makes an image of one layer from a directory.
    async fn build_from_dir(&self, dir: &Path, reference: &str, config: ImageConfig) -> Result<ImageInfo>;

    /// Removes a name; the image goes with its last name unless a container uses it. Removing by id removes all
    /// names.
    async fn remove_image(&self, reference: &str) -> Result<()>;

    /// What the image store uses on disk.
    async fn image_fs_usage(&self) -> Result<FsUsage>;
}
