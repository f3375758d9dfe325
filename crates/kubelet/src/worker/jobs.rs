//! The jobs of a worker: what the plan wants, carried out in tasks of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cox_network::{AttachRequest, HostPort, PodNetwork, Protocol};
use cox_runtime::{
    ContainerId, ContainerState, IdMapping, NetworkNamespace, RuntimeError, SandboxConfig, SandboxId, Signal,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::{Message, Worker};
use crate::container::{config, env, etc};
use crate::node::Node;
use crate::pod::known::{Job, Trouble};
use crate::pod::spec;
use crate::resources;
use crate::volumes::{Maker, Mounted, VolumeError};
use std::collections::BTreeMap;

/// Until something that failed is tried again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A sandbox with what belongs to it.
pub(super) struct Made {
    pub(super) sandbox: SandboxId,
    pub(super) network: Option<PodNetwork>,
    pub(super) volumes: BTreeMap<String, Mounted>,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("Failed to create pod sandbox: {0}")]
    Network(#[from] cox_network::Error),
    #[error("Failed to create pod sandbox: {0}")]
    Policies(#[from] crate::policies::Closed),
    #[error("Failed to create pod sandbox: {0}")]
    Runtime(#[from] RuntimeError),
    #[error("Failed to create pod sandbox: {0}")]
    Files(#[from] std::io::Error),
    #[error("{0}")]
    Unsupported(String),
    #[error(
        "Failed to prepare dynamic resources: spec.resourceClaims: {0}: this node has no drivers that prepare devices"
    )]
    Devices(String),
}

impl SandboxError {
    fn event(&self) -> &'static str {
        match self {
            SandboxError::Volume(_) => "FailedMount",
            SandboxError::Unsupported(_) => "Failed",
            SandboxError::Devices(_) => "FailedPrepareDynamicResources",
            _ => "FailedCreatePodSandBox",
        }
    }

    pub(super) fn trouble(&self, now: Timestamp) -> Trouble {
        Trouble { reason: "ContainerCreating".into(), message: self.to_string(), retry_at: now + RETRY_AFTER }
    }
}

/// Why an image isn't there.
pub(super) struct PullError {
    reason: &'static str,
    message: String,
}

impl PullError {
    pub(super) fn trouble(&self, retry_at: Timestamp) -> Trouble {
        Trouble { reason: self.reason.into(), message: self.message.clone(), retry_at }
    }
}

impl Worker {
    /// Starts a job.
    pub(super) fn start(&mut self, pod: &Arc<Pod>, job: Job) {
        self.memory.jobs.insert(job.clone());
        let (node, sender, pod) = (self.node.clone(), self.sender.clone(), pod.clone());
        let send = |message| async move {
            let _ = sender.send(message).await;
        };
        match job {
            Job::Sandbox { attempt } => {
                let old: Vec<SandboxId> = self.sandbox_ids.iter().cloned().collect();
                self.node.env.spawn(async move {
                    let result = make_sandbox(&node, &pod, attempt, &old).await;
                    if let Err(error) = &result {
                        node.events.pod(&pod, "Warning", error.event(), &error.to_string());
                    }
                    send(Message::Sandbox(result)).await;
                });
            }
            Job::Image { container } => {
                let failed_before = self.memory.pull_backoff.contains_key(&container);
                self.node.env.spawn(async move {
                    let result = see_image(&node, &pod, &container, failed_before).await;
                    send(Message::Image(container, result)).await;
                });
            }
            Job::Start { container, attempt } => {
                let sandbox = self.sandboxes.last().map(|sandbox| sandbox.id.clone());
                let image = self.memory.images.get(&container).cloned().unwrap_or_default();
                let network = self.memory.network.clone();
                let volumes = self.volumes.clone();
                // An earlier kubelet may have got as far as this.
                let created = self.containers.iter().find(|one| {
                    one.config.name == container
                        && one.config.attempt == attempt
                        && one.state == ContainerState::Created
                        && sandbox.as_ref() == Some(&one.sandbox)
                });
                let created = created.map(|one| one.id.clone());
                self.node.env.spawn(async move {
                    let start = Start { node: &node, pod: &pod, attempt, image, network, volumes, created };
                    let result = match sandbox {
                        Some(sandbox) => start.run(&sandbox, &container).await,
                        None => Err(("RunContainerError".into(), "the sandbox is gone".into())),
                    };
                    send(Message::Start(container, result)).await;
                });
            }
            Job::Stop { ref container, ref id, grace_seconds, ref message, hook } => {
                let (container, id, message) = (container.clone(), id.clone(), message.clone());
                let ip = self.memory.network.as_ref().map(|network| network.ip.to_string());
                self.node.env.spawn(async move {
                    stop(&node, &pod, &container, &id, grace_seconds, &message, hook, ip).await;
                    send(Message::Done(job)).await;
                });
            }
            Job::Remove { ref id } => {
                let id = ContainerId::from(id.as_str());
                self.node.env.spawn(async move {
                    if let Err(error) = node.runtime.remove_container(&id).await {
                        tracing::warn!(container = %id, %error, "remove container");
                    }
                    send(Message::Done(job)).await;
                });
            }
            Job::StopSandbox { ref id } => {
                let id = SandboxId::from(id.as_str());
                self.node.env.spawn(async move {
                    if let Err(error) = node.runtime.stop_sandbox(&id).await {
                        tracing::warn!(sandbox = %id, %error, "stop sandbox");
                        node.env.sleep(RETRY_AFTER).await;
                    }
                    if let Some(network) = &node.network
                        && let Err(error) = network.detach(spec::uid(&pod)).await
                    {
                        tracing::warn!(pod = spec::name(&pod), %error, "detach network");
                    }
                    send(Message::Done(job)).await;
                });
            }
            Job::Finish => {
                let gone = self.desired.borrow().gone;
                let sandboxes: Vec<SandboxId> = self.sandbox_ids.iter().cloned().collect();
                self.node.env.spawn(async move {
                    let message = match finish(&node, &pod, gone, &sandboxes).await {
                        Ok(()) => Message::Finished,
                        Err(error) => {
                            tracing::warn!(pod = spec::name(&pod), %error, "removing the pod");
                            node.env.sleep(RETRY_AFTER).await;
                            Message::Done(job)
                        }
                    };
                    send(message).await;
                });
            }
        }
    }

    /// Brings volumes up to date with config maps, secrets, tokens and labels.
    pub(super) fn refresh_volumes(&mut self) {
        let now = self.node.env.now();
        self.volumes_fresh_until = Some(now + Duration::from_secs(super::VOLUMES_REFRESH_SECONDS));
        let pod = self.desired.borrow().pod.clone();
        let (node, dir) = (self.node.clone(), self.dir(&pod));
        self.node.env.spawn(async move {
            let maker = Maker { dir: &dir, sources: &*node.sources, allocatable: &node.config.allocatable };
            if let Err(error) = maker.refresh(&pod).await {
                node.events.pod(&pod, "Warning", "FailedMount", &error.to_string());
            }
        });
    }
}

/// Pods that need what this node has not are refused by the field that says so.
fn refuse_unsupported(declared: &PodSpec) -> Result<(), SandboxError> {
    if let Some(class) = declared.runtime_class_name.as_deref().filter(|class| !class.is_empty()) {
        return Err(SandboxError::Unsupported(format!(
            "runtimeClassName: {class}: this node has no other runtime than its own"
        )));
    }
    let claims: Vec<&str> =
        declared.resource_claims.iter().flatten().map(|claim| claim.name.as_str()).collect();
    if claims.is_empty() { Ok(()) } else { Err(SandboxError::Devices(claims.join(", "))) }
}

async fn make_sandbox(node: &Node, pod: &Pod, attempt: u32, old: &[SandboxId]) -> Result<Made, SandboxError> {
    let uid = spec::uid(pod);
    let dir = node.pod_dir(uid);
    let declared = spec::spec(pod);
    refuse_unsupported(declared)?;
    let host_network = declared.host_network == Some(true);
    std::fs::create_dir_all(dir.join("etc"))?;
    let maker = Maker { dir: &dir, sources: &*node.sources, allocatable: &node.config.allocatable };
    let volumes = maker.make_all(pod).await?;
    let mut network = None;
    if !host_network {
        let Some(pods) = &node.network else {
            return Err(SandboxError::Unsupported(
                "this node has no pod network: only hostNetwork pods run here".into(),
            ));
        };
        if !old.is_empty() {
            // A network namespace can't be shared with what may be left of an earlier sandbox.
            for id in old {
                node.runtime.stop_sandbox(id).await?;
            }
            pods.detach(uid).await?;
        }
        if let Some(policies) = &node.policies {
            policies.pass(pod).await?;
        }
        network =
            Some(pods.attach(AttachRequest { owner: uid.to_owned(), host_ports: host_ports(pod) }).await?);
    }
    let ip = network.as_ref().map_or_else(|| node.facts.host_ip.clone(), |network| network.ip.to_string());
    let (hostname, domain) = etc::hostname(pod, &node.config.dns.cluster_domain);
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let hosts = if host_network {
        etc::node_hosts(pod, &read("/etc/hosts"))
    } else {
        etc::hosts(pod, &ip, &hostname, &domain)
    };
    let hostname = if host_network { node.config.hostname.clone() } else { hostname };
    std::fs::write(dir.join("etc/hosts"), hosts)?;
    std::fs::write(dir.join("etc/hostname"), format!("{hostname}\n"))?;
    std::fs::write(
        dir.join("etc/resolv.conf"),
        etc::resolv_conf(pod, &node.config.dns, &read("/etc/resolv.conf")),
    )?;
    let log_dir = node.log_dir(pod);
    std::fs::create_dir_all(&log_dir)?;
    let security = declared.security_context.clone().unwrap_or_default();
    let sysctls =
        security.sysctls.iter().flatten().map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect();
    let user_namespace = match declared.host_users {
        Some(false) => Some(node.id_ranges.assign(uid)?),
        _ => None,
    };
    let sandbox = node
        .runtime
        .run_sandbox(SandboxConfig {
            name: spec::name(pod).to_owned(),
            namespace: spec::namespace(pod).to_owned(),
            uid: uid.to_owned(),
            attempt,
            hostname,
            network: match &network {
                Some(network) => NetworkNamespace::Path(network.netns_path.clone()),
                None => match &node.config.netns {
                    Some(path) => NetworkNamespace::Path(path.clone()),
                    None => NetworkNamespace::Host,
                },
            },
            host_pid: declared.host_pid == Some(true),
            host_ipc: declared.host_ipc == Some(true),
            share_process_namespace: declared.share_process_namespace == Some(true),
            user_namespace: user_namespace.map(|base| IdMapping {
                host_uid_base: base,
                host_gid_base: base,
                size: crate::userns::IDS_PER_POD,
            }),
            cgroup_parent: resources::cgroup_parent(pod),
            resources: resources::pod(pod),
            sysctls,
            log_dir,
            ..SandboxConfig::default()
        })
        .await?;
    Ok(Made { sandbox, network, volumes })
}

fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let sidecars = spec::inits(pod).iter().filter(|init| spec::is_sidecar(init));
    sidecars
        .chain(spec::mains(pod))
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            Some(HostPort {
                host_ip: port.host_ip.as_deref().filter(|ip| *ip != "0.0.0.0").and_then(|ip| ip.parse().ok()),
                host_port: u16::try_from(port.host_port.filter(|port| *port > 0)?).ok()?,
                pod_port: u16::try_from(port.container_port).ok()?,
                protocol: match port.protocol.as_deref() {
                    Some("UDP") => Protocol::Udp,
                    Some("SCTP") => Protocol::Sctp,
                    _ => Protocol::Tcp,
                },
            })
        })
        .collect()
}

async fn see_image(node: &Node, pod: &Pod, name: &str, failed_before: bool) -> Result<String, PullError> {
    let Some(container) = spec::find(pod, name) else {
        return Err(PullError {
            reason: "InvalidImageName",
            message: format!("container {name} is not in the pod"),
        });
    };
    let reference = container.image.clone().unwrap_or_default();
    let event = |kind: &str, reason: &'static str, message: String| {
        node.events.container(pod, &container.name, kind, reason, &message)
    };
    let present = node.runtime.image_status(&reference).await;
    let policy = container.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    match (present, policy) {
        (Err(RuntimeError::InvalidImageName { message, .. }), _) => {
            let message = format!(
                "Failed to apply default image tag \"{reference}\": couldn't parse image name \"{reference}\": {message}"
            );
            event("Warning", "InspectFailed", message.clone());
            Err(PullError { reason: "InvalidImageName", message })
        }
        (Ok(Some(image)), "IfNotPresent" | "Never") => {
            event(
                "Normal",
                "Pulled",
                format!(
                    "Container image \"{reference}\" already present on machine and can be accessed by the pod"
                ),
            );
            Ok(image.id)
        }
        (Ok(None), "Never") => {
            let message = format!("Container image \"{reference}\" is not present with pull policy of Never");
            event("Warning", "ErrImageNeverPull", message.clone());
            Err(PullError { reason: "ErrImageNeverPull", message })
        }
        _ => {
            event("Normal", "Pulling", format!("Pulling image \"{reference}\""));
            let began = node.env.elapsed();
            match node.runtime.pull_image(&reference, None).await {
                Ok(id) => {
                    let took = (node.env.elapsed() - began).as_millis();
                    event(
                        "Normal",
                        "Pulled",
                        format!(
                            "Successfully pulled image \"{reference}\" in {took}ms ({took}ms including waiting)."
                        ),
                    );
                    Ok(id)
                }
                Err(error) => {
                    event("Warning", "Failed", format!("Failed to pull image \"{reference}\": {error}"));
                    event("Warning", "Failed", "Error: ErrImagePull".into());
                    if failed_before {
                        event("Normal", "BackOff", format!("Back-off pulling image \"{reference}\""));
                        let message =
                            format!("Back-off pulling image \"{reference}\": ErrImagePull: {error}");
                        return Err(PullError { reason: "ImagePullBackOff", message });
                    }
                    Err(PullError { reason: "ErrImagePull", message: error.to_string() })
                }
            }
        }
    }
}

struct Start<'a> {
    node: &'a Arc<Node>,
    pod: &'a Arc<Pod>,
    attempt: u32,
    image: String,
    network: Option<PodNetwork>,
    volumes: BTreeMap<String, Mounted>,
    created: Option<ContainerId>,
}

type Refusal = (String, String);

impl Start<'_> {
    /// Creates and starts the container and runs its postStart hook.
    async fn run(mut self, sandbox: &SandboxId, name: &str) -> Result<String, Refusal> {
        let container = spec::find(self.pod, name)
            .ok_or_else(|| ("CreateContainerConfigError".to_owned(), "no such container".to_owned()))?;
        let id = match self.created.take() {
            Some(id) => id,
            None => self.create(sandbox, &container, name).await?,
        };
        let event = |kind: &str, reason: &'static str, message: &str| {
            self.node.events.container(self.pod, name, kind, reason, message)
        };
        if let Err(error) = self.node.runtime.start_container(&id).await {
            event("Warning", "Failed", &format!("Error: {error}"));
            return Err(("RunContainerError".into(), error.to_string()));
        }
        event("Normal", "Started", "Container started");
        if let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref()) {
            let ip = self.ip();
            if let Err(error) = crate::hook::run(self.node, &id, &container, hook, &ip).await {
                let message = format!("PostStartHook failed: {error}");
                event("Warning", "FailedPostStartHook", &message);
                let grace = spec::spec(self.pod).termination_grace_period_seconds.unwrap_or(30);
                stop(self.node, self.pod, name, id.as_str(), grace, "FailedPostStartHook", false, None).await;
                return Err(("PostStartHookError".into(), message));
            }
        }
        Ok(id.as_str().to_owned())
    }

    async fn create(
        &mut self,
        sandbox: &SandboxId,
        container: &Container,
        name: &str,
    ) -> Result<ContainerId, Refusal> {
        let config = match self.configure(container).await {
            Ok(config) => config,
            Err(message) => {
                let text = format!("Error: {message}");
                self.node.events.container(self.pod, name, "Warning", "Failed", &text);
                return Err(("CreateContainerConfigError".into(), message));
            }
        };
        match self.node.runtime.create_container(sandbox, config).await {
            Ok(id) => {
                self.node.events.container(self.pod, name, "Normal", "Created", "Container created");
                Ok(id)
            }
            Err(error) => {
                let text = format!("Error: {error}");
                self.node.events.container(self.pod, name, "Warning", "Failed", &text);
                Err(("CreateContainerError".into(), error.to_string()))
            }
        }
    }

    fn ip(&self) -> String {
        self.network
            .as_ref()
            .map_or_else(|| self.node.facts.host_ip.clone(), |network| network.ip.to_string())
    }

    async fn configure(&mut self, container: &Container) -> Result<cox_runtime::ContainerConfig, String> {
        let node = self.node;
        let dir = node.pod_dir(spec::uid(self.pod));
        if self.volumes.is_empty()
            && spec::spec(self.pod).volumes.as_ref().is_some_and(|volumes| !volumes.is_empty())
        {
            // After a restart of the kubelet the volumes are there; this finds them again.
            let maker = Maker { dir: &dir, sources: &*node.sources, allocatable: &node.config.allocatable };
            self.volumes = maker.make_all(self.pod).await.map_err(|error| error.to_string())?;
        }
        let image = node.runtime.image_status(&self.image).await.map_err(|error| error.to_string())?;
        let image = image.ok_or_else(|| format!("image {} is gone", self.image))?;
        let services = node.services_for(spec::namespace(self.pod)).await;
        let ips = [self.ip()];
        let facts = env::Facts {
            services: &services,
            ips: &ips,
            host_ip: &node.facts.host_ip,
            allocatable: &node.config.allocatable,
            sources: &*node.sources,
        };
        let mut envs = env::environment(self.pod, container, &facts).await?;
        let hostname = etc::hostname(self.pod, &node.config.dns.cluster_domain).0;
        if !envs.iter().any(|(name, _)| name == "HOSTNAME") {
            let hostname = if spec::spec(self.pod).host_network == Some(true) {
                node.config.hostname.clone()
            } else {
                hostname
            };
            envs.push(("HOSTNAME".into(), hostname));
        }
        let file = config::termination_file(&dir, &container.name, self.attempt);
        prepare_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let log = node.log_dir(self.pod).join(&container.name);
        std::fs::create_dir_all(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let facts = config::Facts {
            pod_dir: &dir,
            image: &image,
            envs,
            volumes: &self.volumes,
            attempt: self.attempt,
            allocatable: &node.config.allocatable,
            seccomp_root: &node.config.seccomp_dir,
            pids_max: node.config.pod_pids_max,
            user_namespace: spec::spec(self.pod).host_users == Some(false),
        };
        let config = config::config(self.pod, container, facts)?;
        Ok(config)
    }
}

/// The termination message file: there, empty, and writable for whoever the container runs as.
fn prepare_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, b"")?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
}

#[allow(clippy::too_many_arguments)]
async fn stop(
    node: &Arc<Node>,
    pod: &Pod,
    name: &str,
    id: &str,
    grace_seconds: i64,
    message: &str,
    hook: bool,
    ip: Option<String>,
) {
    node.events.container(pod, name, "Normal", "Killing", message);
    let id = ContainerId::from(id);
    let began = node.env.elapsed();
    let grace = Duration::from_secs(grace_seconds.max(0).unsigned_abs());
    let container = spec::find(pod, name);
    if hook
        && let Some(container) = &container
        && let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref())
    {
        let ip = ip.unwrap_or_else(|| node.facts.host_ip.clone());
        let run = crate::hook::run(node, &id, container, hook, &ip);
        match tokio::time::timeout(grace, run).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                node.events.container(
                    pod,
                    name,
                    "Warning",
                    "FailedPreStopHook",
                    &format!("PreStopHook failed: {error}"),
                );
            }
            Err(_) => tracing::warn!(container = %id, "preStop hook did not end within the grace period"),
        }
    }
    // Upstream leaves at least two seconds after a hook.
    let left = grace
        .saturating_sub(node.env.elapsed() - began)
        .max(Duration::from_secs(2))
        .min(grace.max(Duration::from_secs(2)));
    let signal = container
        .as_ref()
        .and_then(|container| container.lifecycle.as_ref()?.stop_signal.as_deref())
        .and_then(Signal::parse);
    if let Err(error) = node.runtime.stop_container(&id, left, signal).await {
        tracing::warn!(container = %id, %error, "stop container");
        node.env.sleep(RETRY_AFTER).await;
    }
}

/// Takes away everything of the pod, then the pod itself.
async fn finish(
    node: &Node,
    pod: &Pod,
    gone: bool,
    sandboxes: &[SandboxId],
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let uid = spec::uid(pod);
    for sandbox in sandboxes {
        node.runtime.remove_sandbox(sandbox).await?;
    }
    if let Some(network) = &node.network {
        network.detach(uid).await?;
    }
    crate::volumes::remove_all(&node.pod_dir(uid))?;
    let logs: PathBuf = node.log_dir(pod);
    match std::fs::remove_dir_all(&logs) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    node.id_ranges.release(uid);
    if !gone {
        let options = cox_client::DeleteOptions::uid(uid).grace_period_seconds(0);
        match node.client.delete::<Pod>(spec::namespace(pod), spec::name(pod), &options).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What an exited container wrote for the API to show, by its `terminationMessagePolicy`.
pub(crate) fn termination_message(
    node: &Node,
    pod: &Pod,
    container: &cox_runtime::ContainerStatus,
) -> Option<String> {
    const MESSAGE_BYTES_MAX: usize = 4096;
    if container.state != ContainerState::Exited || container.reason == "StartError" {
        return None;
    }
    let declared = spec::find(pod, &container.config.name)?;
    let file =
        config::termination_file(&node.pod_dir(spec::uid(pod)), &declared.name, container.config.attempt);
    let bytes = std::fs::read(&file).unwrap_or_default();
    let tail = |bytes: &[u8]| {
        let from = bytes.len().saturating_sub(MESSAGE_BYTES_MAX);
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    };
    if !bytes.is_empty() {
        return Some(String::from_utf8_lossy(&bytes[..bytes.len().min(MESSAGE_BYTES_MAX)]).into_owned());
    }
    let from_log = declared.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    if !from_log || container.exit_code == Some(0) {
        return None;
    }
    const LOG_LINES: usize = 80;
    const LOG_BYTES_MAX: usize = 2048;
    let log = std::fs::read_to_string(container.log_path.as_ref()?).ok()?;
    let lines: Vec<&str> = log.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default()).collect();
    let text = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    let from = text.len().saturating_sub(LOG_BYTES_MAX);
    Some(tail(&text.as_bytes()[from..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_the_node_has_not_is_refused_by_name() {
        let refused = |spec: Value| {
            let error = refuse_unsupported(&serde_json::from_value(spec).unwrap()).err();
            error.map(|error| (error.event(), error.to_string()))
        };
        assert_eq!(refused(json!({"containers": []})), None);
        let class = refused(json!({"containers": [], "runtimeClassName": "gvisor"})).unwrap();
        assert!(class.0 == "Failed" && class.1.starts_with("runtimeClassName: gvisor"), "{class:?}");
        let claims = json!([{"name": "gpu", "resourceClaimName": "c"}, {"name": "nic", "resourceClaimTemplateName": "t"}]);
        let (event, message) = refused(json!({"containers": [], "resourceClaims": claims})).unwrap();
        assert_eq!(event, "FailedPrepareDynamicResources");
        assert!(message.contains("spec.resourceClaims: gpu, nic: "), "{message}");
    }
}
