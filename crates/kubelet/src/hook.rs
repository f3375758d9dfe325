//! Lifecycle hooks, and the actions they share with probes: a command, an HTTP request, a TCP connection, a pause.
//! Source: <https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/>

use std::time::Duration;

use cox_runtime::{ContainerId, RuntimeError};
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::node::Node;

/// How long an HTTP hook may take.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a hook to its end.
pub(crate) async fn run(
    node: &Node,
    id: &ContainerId,
    container: &Container,
    hook: &LifecycleHandler,
    ip: &str,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        return match node.runtime.exec_sync(id, &command, None).await {
            Ok(result) if result.exit_code == 0 => Ok(()),
            Ok(result) => Err(format!(
                "Exec lifecycle hook ({command:?}) for Container \"{}\" failed - error: command '{}' exited with {}: {}",
                container.name,
                command.join(" "),
                result.exit_code,
                String::from_utf8_lossy(&result.stderr)
            )),
            Err(error) => Err(error.to_string()),
        };
    }
    if let Some(sleep) = &hook.sleep {
        node.env.sleep(Duration::from_secs(sleep.seconds.max(0).unsigned_abs())).await;
        return Ok(());
    }
    if let Some(get) = &hook.http_get {
        let (status, _) = http_get(node, get, container, ip, HTTP_TIMEOUT).await?;
        return if (200..400).contains(&status) { Ok(()) } else { Err(format!("HTTP status {status}")) };
    }
    if hook.tcp_socket.is_some() {
        return Err("tcpSocket hooks do nothing and are refused".into());
    }
    Ok(())
}

/// The number of a port that may be given by name.
pub(crate) fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_deref() == Some(name))
            .map(|port| port.container_port)
            .or_else(|| name.parse().ok()),
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("invalid port: {port:?}"))
}

/// An HTTP request as probes and hooks make it; the status and the first bytes of the body.
pub(crate) async fn http_get(
    node: &Node,
    get: &HTTPGetAction,
    container: &Container,
    ip: &str,
    timeout: Duration,
) -> Result<(u16, String), String> {
    let host = get.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(ip);
    let port = port(&get.port, container)?;
    let path = get.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let headers: Vec<(&str, &str)> = get
        .http_headers
        .iter()
        .flatten()
        .map(|header| (header.name.as_str(), header.value.as_str()))
        .collect();
    let tls = get.scheme.as_deref() == Some("HTTPS");
    crate::http::get(node.config.netns.as_deref(), host, port, &path, &headers, tls, timeout).await
}

/// The text of a failed command, as probes show it.
pub(crate) fn exec_failure(error: &RuntimeError) -> String {
    error.to_string()
}
