//! Short ways to what a pod's spec says.

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec, Probe};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The spec; pods without one never get past validation.
pub(crate) fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: std::sync::OnceLock<PodSpec> = std::sync::OnceLock::new();
    pod.spec.as_ref().unwrap_or_else(|| EMPTY.get_or_init(PodSpec::default))
}

/// `restartPolicy` of the pod.
pub(crate) fn restart_policy(pod: &Pod) -> &str {
    spec(pod).restart_policy.as_deref().unwrap_or("Always")
}

/// Init containers, sidecars among them.
pub(crate) fn inits(pod: &Pod) -> &[Container] {
    spec(pod).init_containers.as_deref().unwrap_or_default()
}

/// The containers themselves.
pub(crate) fn mains(pod: &Pod) -> &[Container] {
    &spec(pod).containers
}

/// Ephemeral containers.
pub(crate) fn ephemerals(pod: &Pod) -> &[EphemeralContainer] {
    spec(pod).ephemeral_containers.as_deref().unwrap_or_default()
}

/// An ephemeral container in the form of an ordinary one.
pub(crate) fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let e = ephemeral.clone();
    Container {
        name: e.name,
        image: e.image,
        command: e.command,
        args: e.args,
        working_dir: e.working_dir,
        ports: e.ports,
        env_from: e.env_from,
        env: e.env,
        resources: e.resources,
        volume_mounts: e.volume_mounts,
        volume_devices: e.volume_devices,
        termination_message_path: e.termination_message_path,
        termination_message_policy: e.termination_message_policy,
        image_pull_policy: e.image_pull_policy,
        security_context: e.security_context,
        stdin: e.stdin,
        stdin_once: e.stdin_once,
        tty: e.tty,
        ..Container::default()
    }
}

/// A container of any sort, by name.
pub(crate) fn find(pod: &Pod, name: &str) -> Option<Container> {
    let listed = inits(pod).iter().chain(mains(pod)).find(|container| container.name == name).cloned();
    listed.or_else(|| ephemerals(pod).iter().find(|container| container.name == name).map(as_container))
}

/// Whether an init container is a sidecar (KEP-753).
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// Whether the container starts again after an exit with `code`.
pub(crate) fn restarts(pod: &Pod, container: &Container, code: i32) -> bool {
    if is_sidecar(container) {
        return true;
    }
    match container.restart_policy.as_deref().unwrap_or_else(|| restart_policy(pod)) {
        "Always" => true,
        "OnFailure" => code != 0,
        _ => false,
    }
}

/// When the API was asked to delete the pod.
pub(crate) fn deletion(pod: &Pod) -> Option<&Time> {
    pod.metadata.deletion_timestamp.as_ref()
}

/// Seconds that termination may take: what the deletion asked for, else what the spec says.
pub(crate) fn grace_seconds(pod: &Pod) -> i64 {
    pod.metadata
        .deletion_grace_period_seconds
        .or(spec(pod).termination_grace_period_seconds)
        .unwrap_or(30)
        .max(1)
}

/// The uid, by which everything of this node is keyed.
pub(crate) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// The name.
pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// The namespace.
pub(crate) fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// Whether a probe is set.
pub(crate) fn has(probe: &Option<Probe>) -> bool {
    probe.is_some()
}
