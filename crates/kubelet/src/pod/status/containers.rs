//! `containerStatuses`, for containers of every sort.

use cox_runtime::{ContainerState as Life, ContainerStatus as Seen};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, ContainerUser, LinuxContainerUser, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::NodeFacts;
use crate::pod::known::Known;
use crate::pod::plan::{Outcome, outcome};
use crate::pod::spec;

/// The statuses of these containers, in their order. What the API had counts where the runtime has no records.
pub(crate) fn statuses(
    known: &Known<'_>,
    containers: &[Container],
    before: &Option<Vec<ContainerStatus>>,
    node: &NodeFacts,
    init: bool,
) -> Vec<ContainerStatus> {
    containers
        .iter()
        .map(|container| {
            let old = before.iter().flatten().find(|status| status.name == container.name);
            one(known, container, old, node, init)
        })
        .collect()
}

fn one(
    known: &Known<'_>,
    container: &Container,
    old: Option<&ContainerStatus>,
    node: &NodeFacts,
    init: bool,
) -> ContainerStatus {
    let mut status = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        started: Some(false),
        ..ContainerStatus::default()
    };
    let Some(seen) = known.newest(&container.name) else {
        return match old {
            // Its records went with the sandbox: what was said last stands.
            Some(old) if ended_state(old).is_some() => old.clone(),
            _ => {
                status.state = Some(waiting_state(known, container, init));
                status.restart_count = old.map_or(0, |old| old.restart_count);
                status.last_state =
                    old.and_then(|old| old.last_state.clone()).or(Some(ContainerState::default()));
                status
            }
        };
    };
    let health = known.health(seen);
    status.container_id = Some(format!("{}{}", node.scheme, seen.id));
    status.image_id = if seen.image_ref.is_empty() { seen.image_id.clone() } else { seen.image_ref.clone() };
    status.restart_count = i32::try_from(seen.config.attempt).unwrap_or(i32::MAX);
    status.last_state = Some(known.previous(&container.name).map_or_else(
        || old.and_then(|old| old.last_state.clone()).unwrap_or_default(),
        |previous| ContainerState {
            terminated: Some(terminated(previous, node)),
            ..ContainerState::default()
        },
    ));
    if let Some(user) = &seen.user {
        status.user = Some(ContainerUser {
            linux: Some(LinuxContainerUser {
                uid: user.uid,
                gid: user.gid,
                supplemental_groups: (!user.supplemental_groups.is_empty())
                    .then(|| user.supplemental_groups.clone()),
            }),
        });
    }
    status.volume_mounts = mounts(container);
    if let Some(resources) = &container.resources
        && seen.state == Life::Running
    {
        status.resources = Some(resources.clone());
        status.allocated_resources = resources.requests.clone();
    }
    match seen.state {
        Life::Running => {
            status.started = Some(health.started);
            let sidecar = init && spec::is_sidecar(container);
            status.ready = health.started && health.ready && (!init || sidecar);
            status.state = Some(ContainerState {
                running: Some(ContainerStateRunning { started_at: seen.started_at.map(Time) }),
                ..ContainerState::default()
            });
        }
        Life::Created => status.state = Some(waiting_state(known, container, init)),
        Life::Exited | Life::Unknown => {
            let state = terminated(seen, node);
            // An init container that has done its work counts as ready.
            status.ready = init && !spec::is_sidecar(container) && state.exit_code == 0;
            let again = !over(known) && spec::restarts(known.pod, container, state.exit_code);
            if again && let Some(waiting) = crash_loop(known, container, seen) {
                status.last_state =
                    Some(ContainerState { terminated: Some(state), ..ContainerState::default() });
                status.state = Some(ContainerState { waiting: Some(waiting), ..ContainerState::default() });
            } else {
                status.state = Some(ContainerState { terminated: Some(state), ..ContainerState::default() });
            }
        }
    }
    status
}

fn over(known: &Known<'_>) -> bool {
    known.gone
        || known.memory.ended.is_some()
        || spec::deletion(known.pod).is_some()
        || outcome(known) != Outcome::Open
}

fn ended_state(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.state.as_ref().and_then(|state| state.terminated.as_ref())
}

/// An exited container that waits for its next start: back-off, or what keeps it from starting.
fn crash_loop(known: &Known<'_>, container: &Container, exited: &Seen) -> Option<ContainerStateWaiting> {
    if let Some(trouble) = known.memory.troubles.get(&container.name) {
        return Some(ContainerStateWaiting {
            reason: Some(trouble.reason.clone()),
            message: Some(trouble.message.clone()),
        });
    }
    let (id, backoff) = known.memory.restart_backoff.get(&container.name)?;
    if id != exited.id.as_str() || backoff.until() <= known.now {
        return None;
    }
    let pod = format!("{}_{}({})", spec::name(known.pod), spec::namespace(known.pod), spec::uid(known.pod));
    Some(ContainerStateWaiting {
        reason: Some("CrashLoopBackOff".into()),
        message: Some(format!(
            "back-off {} restarting failed container={} pod={pod}",
            backoff.shown(),
            container.name
        )),
    })
}

/// Why a container has not started yet.
fn waiting_state(known: &Known<'_>, container: &Container, init: bool) -> ContainerState {
    let waiting = if let Some(trouble) = known.memory.troubles.get(&container.name) {
        ContainerStateWaiting { reason: Some(trouble.reason.clone()), message: Some(trouble.message.clone()) }
    } else {
        let reason =
            if init || !spec::inits(known.pod).is_empty() { "PodInitializing" } else { "ContainerCreating" };
        ContainerStateWaiting { reason: Some(reason.into()), message: None }
    };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated(seen: &Seen, node: &NodeFacts) -> ContainerStateTerminated {
    let message = (!seen.message.is_empty()).then(|| seen.message.clone());
    ContainerStateTerminated {
        container_id: Some(format!("{}{}", node.scheme, seen.id)),
        exit_code: seen.exit_code.unwrap_or(137),
        finished_at: seen.finished_at.map(Time),
        message,
        reason: Some(if seen.reason.is_empty() { "Error".into() } else { seen.reason.clone() }),
        signal: None,
        started_at: seen.started_at.map(Time),
    }
}

fn mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts: Vec<VolumeMountStatus> = container
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| VolumeMountStatus {
            mount_path: mount.mount_path.clone(),
            name: mount.name.clone(),
            read_only: mount.read_only.filter(|read_only| *read_only),
            recursive_read_only: (mount.read_only == Some(true)).then(|| {
                match mount.recursive_read_only.as_deref() {
                    Some("Enabled" | "IfPossible") => "Enabled".to_owned(),
                    _ => "Disabled".to_owned(),
                }
            }),
            ..VolumeMountStatus::default()
        })
        .collect();
    (!mounts.is_empty()).then_some(mounts)
}
