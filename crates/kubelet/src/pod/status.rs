//! What the API is told of a pod: phase, conditions, container statuses. Pure.
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>

mod conditions;
mod containers;

use cox_runtime::ContainerState;
use k8s_openapi::api::core::v1::{HostIP, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::known::Known;
use super::plan::{Outcome, outcome};
use super::spec;

/// What the node adds to every status.
#[derive(Clone, Debug)]
pub(crate) struct NodeFacts {
    /// `status.hostIP`.
    pub(crate) host_ip: String,
    /// What container ids start with, as in `cox://`.
    pub(crate) scheme: String,
}

/// The status of a pod now.
pub(crate) fn status(known: &Known<'_>, node: &NodeFacts) -> PodStatus {
    let before = known.pod.status.clone().unwrap_or_default();
    let over = matches!(before.phase.as_deref(), Some("Succeeded" | "Failed"));
    let init =
        containers::statuses(known, spec::inits(known.pod), &before.init_container_statuses, node, true);
    let main = containers::statuses(known, spec::mains(known.pod), &before.container_statuses, node, false);
    let ephemeral: Vec<_> = spec::ephemerals(known.pod).iter().map(spec::as_container).collect();
    let ephemeral =
        containers::statuses(known, &ephemeral, &before.ephemeral_container_statuses, node, false);
    let phase = if over { before.phase.clone().unwrap_or_default() } else { phase(known).to_owned() };
    let (reason, message) = match &known.memory.ended {
        // With the phase, not before: until nothing runs any more the pod is not over.
        Some(ended) if phase == "Failed" => (Some(ended.reason.clone()), Some(ended.message.clone())),
        _ => (before.reason.clone(), before.message.clone()),
    };
    let ips = ips(known, node, &before);
    let conditions = conditions::conditions(known, &phase, &init, &main, &before);
    let start_time = known.memory.start_time.map(Time).or(before.start_time);
    PodStatus {
        phase: Some(phase),
        reason,
        message,
        conditions: Some(conditions),
        host_ip: Some(node.host_ip.clone()),
        host_ips: Some(vec![HostIP { ip: node.host_ip.clone() }]),
        pod_ip: ips.clone(),
        pod_ips: ips.map(|ip| vec![PodIP { ip }]),
        start_time,
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: (!main.is_empty()).then_some(main),
        ephemeral_container_statuses: (!ephemeral.is_empty()).then_some(ephemeral),
        qos_class: before.qos_class,
        observed_generation: known.pod.metadata.generation,
        ..PodStatus::default()
    }
}

fn ips(known: &Known<'_>, node: &NodeFacts, before: &PodStatus) -> Option<String> {
    if spec::spec(known.pod).host_network == Some(true) {
        return known.sandbox.is_some().then(|| node.host_ip.clone()).or(before.pod_ip.clone());
    }
    known.memory.network.as_ref().map(|network| network.ip.to_string()).or(before.pod_ip.clone())
}

/// The phase by upstream's rules: waiting before running before over.
pub(crate) fn phase(known: &Known<'_>) -> &'static str {
    if known.memory.ended.is_some() {
        // Told only once nothing runs any more; until then it is what it was.
        if known.alive().next().is_none() {
            return "Failed";
        }
    }
    match outcome(known) {
        Outcome::Failed if known.alive().all(|c| is_sidecar(known, &c.config.name)) => {
            return if known.alive().next().is_none() { "Failed" } else { "Running" };
        }
        Outcome::Succeeded => {
            return if known.alive().next().is_none() { "Succeeded" } else { "Running" };
        }
        _ => {}
    }
    let deleted = spec::deletion(known.pod).is_some() || known.gone;
    let initializing = spec::inits(known.pod).iter().any(|init| {
        let status = known.newest(&init.name);
        match status {
            _ if spec::mains(known.pod).iter().any(|main| known.newest(&main.name).is_some()) => false,
            None => true,
            Some(status) if spec::is_sidecar(init) => !known.health(status).started,
            Some(status) => status.state != ContainerState::Exited || status.exit_code != Some(0),
        }
    });
    if initializing {
        return "Pending";
    }
    let mains: Vec<_> = spec::mains(known.pod).iter().map(|main| known.newest(&main.name)).collect();
    if mains.iter().any(|status| {
        status.is_none_or(|status| status.state == ContainerState::Created && status.config.attempt == 0)
    }) {
        return "Pending";
    }
    let running = mains.iter().flatten().any(|status| status.state == ContainerState::Running);
    if deleted && !running && known.alive().next().is_none() {
        // A deleted pod whose containers would have started again: it ended by what they left.
        let failed = mains.iter().flatten().any(|status| status.exit_code.unwrap_or(137) != 0);
        return if failed { "Failed" } else { "Succeeded" };
    }
    "Running"
}

fn is_sidecar(known: &Known<'_>, name: &str) -> bool {
    spec::inits(known.pod).iter().any(|init| init.name == name && spec::is_sidecar(init))
}
