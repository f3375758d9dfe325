//! From names in a path to a container of this node.

use std::sync::Arc;

use cox_runtime::{ContainerState, ContainerStatus};
use k8s_openapi::api::core::v1::Pod;

use super::Refusal;
use crate::node::Node;
use crate::pod::spec;

/// The pod.
pub(crate) fn pod(node: &Node, namespace: &str, name: &str) -> Result<Arc<Pod>, Refusal> {
    node.pods.get(namespace, name).ok_or_else(|| Refusal::not_found(format!("pod \"{name}\" not found")))
}

/// The containers of a pod with this name, oldest first.
pub(crate) async fn containers(node: &Node, pod: &Pod, name: &str) -> Result<Vec<ContainerStatus>, Refusal> {
    let sandboxes = node.runtime.list_sandboxes().await.map_err(Refusal::internal)?;
    let mut found = Vec::new();
    for sandbox in sandboxes.iter().filter(|sandbox| sandbox.config.uid == spec::uid(pod)) {
        let containers = node.runtime.list_containers(Some(&sandbox.id)).await.map_err(Refusal::internal)?;
        found.extend(containers.into_iter().filter(|container| container.config.name == name));
    }
    found.sort_by_key(|container| container.config.attempt);
    Ok(found)
}

/// The running container of a pod with this name.
pub(crate) async fn running(node: &Node, pod: &Pod, name: &str) -> Result<ContainerStatus, Refusal> {
    let newest = containers(node, pod, name).await?.pop();
    match newest {
        Some(container) if container.state == ContainerState::Running => Ok(container),
        _ => Err(Refusal::internal(format!("container not found (\"{name}\")"))),
    }
}
