//! The pod conditions that the kubelet owns. Those of others are kept as they are.
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions>

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pod::known::Known;
use crate::pod::spec;

/// The conditions that the kubelet writes, in upstream's order.
pub(crate) const OWNED: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

struct Verdict {
    holds: bool,
    reason: Option<String>,
    message: Option<String>,
}

impl Verdict {
    fn yes() -> Verdict {
        Verdict { holds: true, reason: None, message: None }
    }

    fn no(reason: &str, message: Option<String>) -> Verdict {
        Verdict { holds: false, reason: Some(reason.into()), message }
    }

    fn completed() -> Verdict {
        Verdict::no("PodCompleted", None)
    }
}

/// All conditions of the pod: the kubelet's own, then what others have set.
pub(crate) fn conditions(
    known: &Known<'_>,
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
    before: &PodStatus,
) -> Vec<PodCondition> {
    let containers = containers_ready(known, phase, init, main);
    let ready = ready(known, &containers, before);
    let verdicts =
        [ready_to_start(known), initialized(known, phase, init, main), ready, containers, Verdict::yes()];
    let mut conditions: Vec<PodCondition> =
        OWNED.iter().zip(verdicts).map(|(name, verdict)| merge(known, name, verdict, before)).collect();
    if let Some(ended) = &known.memory.ended
        && ended.reason == "Evicted"
    {
        let verdict = Verdict {
            holds: true,
            reason: Some("TerminationByKubelet".into()),
            message: Some(ended.message.clone()),
        };
        conditions.push(merge(known, "DisruptionTarget", verdict, before));
    }
    let others = before.conditions.iter().flatten();
    let others: Vec<PodCondition> =
        others.filter(|other| !conditions.iter().any(|own| own.type_ == other.type_)).cloned().collect();
    conditions.extend(others);
    conditions
}

/// A verdict as a condition; the transition time is the old one while the status stays.
fn merge(known: &Known<'_>, name: &str, verdict: Verdict, before: &PodStatus) -> PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let old = before.conditions.iter().flatten().find(|old| old.type_ == name && old.status == status);
    let since = old
        .and_then(|old| old.last_transition_time.clone())
        .unwrap_or_else(|| Time(jiff::Timestamp::from_second(known.now.as_second()).unwrap_or(known.now)));
    PodCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: verdict.reason,
        message: verdict.message,
        last_transition_time: Some(since),
        observed_generation: known.pod.metadata.generation,
        last_probe_time: None,
    }
}

fn ready_to_start(known: &Known<'_>) -> Verdict {
    if known.ready_sandbox().is_some() {
        Verdict::yes()
    } else {
        Verdict { holds: false, reason: None, message: None }
    }
}

fn initialized(
    known: &Known<'_>,
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
) -> Verdict {
    if phase == "Succeeded" {
        return Verdict { holds: true, reason: Some("PodCompleted".into()), message: None };
    }
    // Once a container proper has run, the pod counts as initialized, whatever became of sidecars since.
    let begun = main.iter().any(|status| status.container_id.is_some());
    let unfinished: Vec<&str> = spec::inits(known.pod)
        .iter()
        .filter(|container| {
            let status = init.iter().find(|status| status.name == container.name);
            if spec::is_sidecar(container) {
                !begun && status.is_none_or(|status| status.started != Some(true))
            } else {
                !begun && !status.is_some_and(|status| status.ready)
            }
        })
        .map(|container| container.name.as_str())
        .collect();
    if unfinished.is_empty() {
        return Verdict::yes();
    }
    let message = format!("containers with incomplete status: [{}]", unfinished.join(" "));
    Verdict::no("ContainersNotInitialized", Some(message))
}

fn containers_ready(
    known: &Known<'_>,
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
) -> Verdict {
    match phase {
        "Succeeded" => return Verdict::completed(),
        "Failed" => return Verdict::no("PodFailed", None),
        _ => {}
    }
    let sidecars = spec::inits(known.pod).iter().filter(|container| spec::is_sidecar(container));
    let ready = |name: &str| init.iter().chain(main).any(|status| status.name == name && status.ready);
    let unready: Vec<&str> = sidecars
        .chain(spec::mains(known.pod))
        .map(|container| container.name.as_str())
        .filter(|name| !ready(name))
        .collect();
    if unready.is_empty() {
        return Verdict::yes();
    }
    Verdict::no(
        "ContainersNotReady",
        Some(format!("containers with unready status: [{}]", unready.join(" "))),
    )
}

fn ready(known: &Known<'_>, containers: &Verdict, before: &PodStatus) -> Verdict {
    if !containers.holds {
        return Verdict {
            holds: false,
            reason: containers.reason.clone(),
            message: containers.message.clone(),
        };
    }
    let gates = spec::spec(known.pod).readiness_gates.iter().flatten();
    let mut messages = Vec::new();
    for gate in gates {
        let found = before.conditions.iter().flatten().find(|other| other.type_ == gate.condition_type);
        match found {
            None => messages.push(format!(
                "corresponding condition of pod readiness gate \"{}\" does not exist.",
                gate.condition_type
            )),
            Some(condition) if condition.status != "True" => messages.push(format!(
                "the status of pod readiness gate \"{}\" is not \"True\", but {}",
                gate.condition_type, condition.status
            )),
            Some(_) => {}
        }
    }
    if messages.is_empty() {
        Verdict::yes()
    } else {
        Verdict::no("ReadinessGatesNotReady", Some(messages.join(", ")))
    }
}
