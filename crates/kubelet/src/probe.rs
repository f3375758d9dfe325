//! Probes: when they run, what they do, and what they say.
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes>

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cox_runtime::{ContainerId, RuntimeError};
use k8s_openapi::api::core::v1::{Container, Pod, Probe};

use crate::dial;
use crate::hook;
use crate::node::Node;
use cox_sys::dial_error_text;

/// Which probe of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Startup,
    Liveness,
    Readiness,
}

impl Sort {
    fn shown(self) -> &'static str {
        match self {
            Sort::Startup => "Startup",
            Sort::Liveness => "Liveness",
            Sort::Readiness => "Readiness",
        }
    }
}

/// What is probed.
pub(crate) struct Target {
    pub(crate) container: ContainerId,
    pub(crate) declared: Container,
    pub(crate) ip: String,
    pub(crate) pod: Arc<Pod>,
}

/// What a probe concludes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The startup probe has succeeded.
    Started,
    /// The readiness probe has changed its mind.
    Ready(bool),
    /// The container has to be killed.
    Kill { message: String, grace_seconds: Option<i64> },
}

/// Counts results until one of the thresholds is met. Pure.
#[derive(Debug)]
pub(crate) struct Counter {
    last: Option<bool>,
    run: i32,
    success_threshold: i32,
    failure_threshold: i32,
}

impl Counter {
    pub(crate) fn new(probe: &Probe) -> Counter {
        Counter {
            last: None,
            run: 0,
            success_threshold: probe.success_threshold.unwrap_or(1),
            failure_threshold: probe.failure_threshold.unwrap_or(3),
        }
    }

    /// Takes a result; says something once enough of the same kind came in a row.
    pub(crate) fn take(&mut self, success: bool) -> Option<bool> {
        self.run = if self.last == Some(success) { self.run + 1 } else { 1 };
        self.last = Some(success);
        let threshold = if success { self.success_threshold } else { self.failure_threshold };
        (self.run >= threshold).then_some(success)
    }
}

/// Probes until a verdict ends it, or it is aborted.
pub(crate) async fn run<F, R>(node: Arc<Node>, sort: Sort, probe: Probe, target: Target, report: F)
where
    F: Fn(Verdict) -> R + Send,
    R: Future<Output = ()> + Send,
{
    let seconds = |value: Option<i32>, default: i32| {
        Duration::from_secs(value.unwrap_or(default).max(0).unsigned_abs().into())
    };
    let period = seconds(probe.period_seconds, 10).max(Duration::from_secs(1));
    let timeout = seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1));
    node.env.sleep(seconds(probe.initial_delay_seconds, 0)).await;
    let mut counter = Counter::new(&probe);
    let mut ready = None;
    loop {
        let began = node.env.elapsed();
        let result = once(&node, &probe, &target, timeout).await;
        if let Err(text) = &result {
            let message = format!("{} probe failed: {text}", sort.shown());
            node.events.container(&target.pod, &target.declared.name, "Warning", "Unhealthy", &message);
        }
        match (sort, counter.take(result.is_ok())) {
            (_, None) => {}
            (Sort::Startup, Some(true)) => {
                report(Verdict::Started).await;
                return;
            }
            (Sort::Readiness, Some(success)) => {
                if ready != Some(success) {
                    ready = Some(success);
                    report(Verdict::Ready(success)).await;
                }
            }
            (Sort::Liveness, Some(true)) => {}
            (Sort::Startup | Sort::Liveness, Some(false)) => {
                let message = format!(
                    "Container {} failed {} probe, will be restarted",
                    target.declared.name,
                    sort.shown().to_lowercase()
                );
                report(Verdict::Kill { message, grace_seconds: probe.termination_grace_period_seconds })
                    .await;
                return;
            }
        }
        // A container that isn't ready yet is looked at more often at first, so that it gets ready without waiting
        // a whole period.
        node.env.sleep(period.saturating_sub(node.env.elapsed() - began)).await;
    }
}

async fn once(node: &Node, probe: &Probe, target: &Target, timeout: Duration) -> Result<(), String> {
    if let Some(exec) = &probe.exec {
        let command = exec.command.clone().unwrap_or_default();
        return match node.runtime.exec_sync(&target.container, &command, Some(timeout)).await {
            Ok(result) if result.exit_code == 0 => Ok(()),
            Ok(result) => {
                let mut text = String::from_utf8_lossy(&result.stdout).into_owned();
                text.push_str(&String::from_utf8_lossy(&result.stderr));
                Err(text)
            }
            Err(RuntimeError::ExecTimeout { command, timeout }) => {
                Err(format!("command timed out: {command:?} timed out after {}s", timeout.as_secs()))
            }
            Err(error) => Err(hook::exec_failure(&error)),
        };
    }
    if let Some(get) = &probe.http_get {
        let (status, _) = hook::http_get(node, get, &target.declared, &target.ip, timeout).await?;
        return if (200..400).contains(&status) {
            Ok(())
        } else {
            Err(format!("HTTP probe failed with statuscode: {status}"))
        };
    }
    if let Some(socket) = &probe.tcp_socket {
        let port = hook::port(&socket.port, &target.declared)?;
        let host = socket.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&target.ip);
        let connect = dial::tcp(node.config.netns.as_deref(), host, port);
        return match tokio::time::timeout(timeout, connect).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(dial_error_text(format_args!("{host}:{port}"), &error)),
            Err(_) => Err(format!("dial tcp {host}:{port}: i/o timeout")),
        };
    }
    if let Some(grpc) = &probe.grpc {
        let port = u16::try_from(grpc.port).map_err(|_| format!("invalid port: {}", grpc.port))?;
        let service = grpc.service.as_deref().unwrap_or_default();
        return crate::grpc::check(node.config.netns.as_deref(), &target.ip, port, service, timeout).await;
    }
    Err("probe has no handler".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_count_in_a_row() {
        let probe = Probe { success_threshold: Some(2), failure_threshold: Some(3), ..Probe::default() };
        let mut counter = Counter::new(&probe);
        let said: Vec<_> =
            [true, false, true, true, false, false, false, false].map(|result| counter.take(result)).into();
        assert_eq!(said, [None, None, None, Some(true), None, None, Some(false), Some(false)]);
    }
}
