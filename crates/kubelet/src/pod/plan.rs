//! Decides a pod's next steps. Pure: from what is known and the time to jobs and when to look again.
//! Source: <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>

use cox_runtime::{ContainerState, ContainerStatus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;

use super::known::{Job, Known};
use super::spec;

/// How many exited containers of a name are kept besides the newest, for `lastState` and `logs --previous`.
const EXITED_KEPT: usize = 1;

/// What to do now, and when to look again by itself.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// To be started now, none of them under way.
    pub(crate) jobs: Vec<Job>,
    /// The earliest time at which something changes by itself.
    pub(crate) wake_at: Option<Timestamp>,
}

impl Plan {
    fn want(&mut self, known: &Known<'_>, job: Job) {
        if !known.busy(job.key()) && !self.jobs.iter().any(|wanted| wanted.key() == job.key()) {
            self.jobs.push(job);
        }
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
    }
}

/// Whether the pod's own run is over: all its containers have ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It still runs or has to run.
    Open,
    /// All ended with 0.
    Succeeded,
    /// At least one ended otherwise.
    Failed,
}

/// Decides the next steps.
pub(crate) fn plan(known: &Known<'_>) -> Plan {
    let mut plan = Plan::default();
    if known.gone || spec::deletion(known.pod).is_some() || known.memory.ended.is_some() {
        terminate(known, &mut plan);
        return plan;
    }
    if already_over(known) || outcome(known) != Outcome::Open {
        wind_down(known, &mut plan);
        return plan;
    }
    if let Some(deadline) = deadline(known) {
        // The worker ends the pod when the time has come.
        plan.wake(deadline);
    }
    run(known, &mut plan);
    prune(known, &mut plan);
    plan
}

/// When `activeDeadlineSeconds` is over.
pub(crate) fn deadline(known: &Known<'_>) -> Option<Timestamp> {
    let seconds = spec::spec(known.pod).active_deadline_seconds?;
    Some(known.memory.start_time? + std::time::Duration::from_secs(seconds.max(0).unsigned_abs()))
}

/// Whether an earlier kubelet has already told the API that the pod is over.
fn already_over(known: &Known<'_>) -> bool {
    let phase = known.pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether the pod's run is over, by its containers.
pub(crate) fn outcome(known: &Known<'_>) -> Outcome {
    for init in spec::inits(known.pod).iter().filter(|init| !spec::is_sidecar(init)) {
        if let Some(status) = known.newest(&init.name)
            && let Some(code) = exit_code(status)
            && code != 0
            && !spec::restarts(known.pod, init, code)
            && in_last_sandbox(known, status)
        {
            return Outcome::Failed;
        }
    }
    let mut outcome = Outcome::Succeeded;
    for main in spec::mains(known.pod) {
        let Some(code) = known.newest(&main.name).and_then(exit_code) else { return Outcome::Open };
        if spec::restarts(known.pod, main, code) {
            return Outcome::Open;
        }
        if code != 0 {
            outcome = Outcome::Failed;
        }
    }
    outcome
}

fn in_last_sandbox(known: &Known<'_>, status: &ContainerStatus) -> bool {
    known.sandbox.is_none_or(|sandbox| sandbox.id == status.sandbox)
}

fn exit_code(status: &ContainerStatus) -> Option<i32> {
    match status.state {
        ContainerState::Exited => Some(status.exit_code.unwrap_or(255)),
        ContainerState::Unknown => Some(137),
        ContainerState::Created | ContainerState::Running => None,
    }
}

// === running ===

fn run(known: &Known<'_>, plan: &mut Plan) {
    if known.ready_sandbox().is_none() {
        make_sandbox(known, plan);
        return;
    }
    kill_doomed(known, plan);
    start_created(known, plan);
    for ephemeral in spec::ephemerals(known.pod) {
        if known.newest(&ephemeral.name).is_none() {
            start(known, &spec::as_container(ephemeral), plan);
        }
    }
    // Once a container proper has been started in this sandbox, init containers are not looked at again.
    let initialized = spec::mains(known.pod).iter().any(|main| known.current(&main.name).is_some());
    for init in spec::inits(known.pod) {
        let status = known.current(&init.name);
        if spec::is_sidecar(init) {
            match status.map(|status| (status.state, status)) {
                Some((ContainerState::Running, status)) if initialized || known.health(status).started => {}
                Some((ContainerState::Running | ContainerState::Created, _)) => return,
                Some((_, status)) => {
                    restart(known, init, status, plan);
                    if !initialized {
                        return;
                    }
                }
                None => {
                    start(known, init, plan);
                    if !initialized {
                        return;
                    }
                }
            }
            continue;
        }
        if initialized {
            continue;
        }
        match status {
            None => {
                start(known, init, plan);
                return;
            }
            Some(status) => match exit_code(status) {
                Some(0) => {}
                Some(_) => {
                    restart(known, init, status, plan);
                    return;
                }
                None => return,
            },
        }
    }
    for main in spec::mains(known.pod) {
        match known.current(&main.name) {
            None => start(known, main, plan),
            Some(status) => {
                if let Some(code) = exit_code(status)
                    && spec::restarts(known.pod, main, code)
                {
                    restart(known, main, status, plan);
                }
            }
        }
        // In order, each after the postStart hook of the one before.
        if plan.jobs.iter().chain(&known.memory.jobs).any(|job| matches!(job, Job::Start { .. })) {
            return;
        }
    }
}

fn make_sandbox(known: &Known<'_>, plan: &mut Plan) {
    // Nothing of a sandbox that is gone may still run when the next one starts.
    if let Some(old) = known.sandbox {
        let alive: Vec<_> = known.alive().collect();
        for container in &alive {
            plan.want(
                known,
                stop(container, 2, "Pod sandbox changed, it will be killed and re-created.", false),
            );
        }
        if !alive.is_empty() {
            return;
        }
        let _ = old;
    }
    if let Some(trouble) = &known.memory.sandbox_trouble
        && trouble.retry_at > known.now
    {
        plan.wake(trouble.retry_at);
        return;
    }
    let attempt = known.sandbox.map_or(0, |sandbox| sandbox.config.attempt + 1);
    plan.want(known, Job::Sandbox { attempt });
}

/// Starts a container that never ran in this sandbox.
fn start(known: &Known<'_>, container: &Container, plan: &mut Plan) {
    // After the loss of a sandbox, containers that don't restart stay down.
    if let Some(before) = known.newest(&container.name)
        && let Some(code) = exit_code(before)
        && !spec::inits(known.pod).iter().any(|init| init.name == container.name)
        && !spec::restarts(known.pod, container, code)
    {
        return;
    }
    begin(known, container, plan);
}

/// Starts a container again after its back-off.
fn restart(known: &Known<'_>, container: &Container, exited: &ContainerStatus, plan: &mut Plan) {
    if let Some((id, backoff)) = known.memory.restart_backoff.get(&container.name)
        && id == exited.id.as_str()
        && backoff.until() > known.now
    {
        plan.wake(backoff.until());
        return;
    }
    begin(known, container, plan);
}

fn begin(known: &Known<'_>, container: &Container, plan: &mut Plan) {
    if let Some(trouble) = known.memory.troubles.get(&container.name)
        && trouble.retry_at > known.now
    {
        plan.wake(trouble.retry_at);
        return;
    }
    if !known.memory.images.contains_key(&container.name) {
        plan.want(known, Job::Image { container: container.name.clone() });
        return;
    }
    if known.busy((2, &container.name)) {
        return;
    }
    plan.want(
        known,
        Job::Start { container: container.name.clone(), attempt: known.next_attempt(&container.name) },
    );
}

/// Starts what an earlier kubelet created, and died before it started it.
fn start_created(known: &Known<'_>, plan: &mut Plan) {
    for status in known.alive().filter(|status| status.state == ContainerState::Created) {
        let name = &status.config.name;
        if !in_last_sandbox(known, status) || known.newest(name).is_none_or(|newest| newest.id != status.id) {
            continue;
        }
        match known.memory.troubles.get(name) {
            Some(trouble) if trouble.retry_at > known.now => plan.wake(trouble.retry_at),
            _ => plan.want(known, Job::Start { container: name.clone(), attempt: status.config.attempt }),
        }
    }
}

fn kill_doomed(known: &Known<'_>, plan: &mut Plan) {
    for status in known.alive() {
        if let Some((message, grace)) = known.health(status).doomed {
            let seconds = grace.or(spec::spec(known.pod).termination_grace_period_seconds).unwrap_or(30);
            plan.want(known, stop(status, seconds, &message, true));
        }
    }
}

fn stop(status: &ContainerStatus, grace_seconds: i64, message: &str, hook: bool) -> Job {
    Job::Stop {
        container: status.config.name.clone(),
        id: status.id.as_str().to_owned(),
        grace_seconds,
        message: message.to_owned(),
        hook,
    }
}

/// Drops old exited containers.
fn prune(known: &Known<'_>, plan: &mut Plan) {
    let names = spec::inits(known.pod).iter().chain(spec::mains(known.pod)).map(|container| &container.name);
    for name in names {
        let mut exited: Vec<&ContainerStatus> = known
            .containers
            .iter()
            .filter(|container| container.config.name == *name && exit_code(container).is_some())
            .collect();
        exited.sort_by_key(|container| container.config.attempt);
        let newest_runs = known.newest(name).is_some_and(|container| exit_code(container).is_none());
        let keep = if newest_runs { EXITED_KEPT } else { EXITED_KEPT + 1 };
        let surplus = exited.len().saturating_sub(keep);
        for container in &exited[..surplus] {
            plan.want(known, Job::Remove { id: container.id.as_str().to_owned() });
        }
    }
}

// === ending ===

/// The pod's own containers are over: sidecars end, then the sandbox.
fn wind_down(known: &Known<'_>, plan: &mut Plan) {
    let grace = spec::spec(known.pod).termination_grace_period_seconds.unwrap_or(30);
    if stop_in_order(known, plan, grace, true) {
        stop_sandbox(known, plan);
    }
}

/// The pod is deleted, gone or ended by the node: everything ends.
fn terminate(known: &Known<'_>, plan: &mut Plan) {
    let begun = known.memory.terminating_since.unwrap_or(known.now);
    let grace = match &known.memory.ended {
        Some(ended) if spec::deletion(known.pod).is_none() => {
            ended.grace_seconds.or(spec::spec(known.pod).termination_grace_period_seconds).unwrap_or(30)
        }
        _ if known.gone => spec::grace_seconds(known.pod).min(2),
        _ => spec::grace_seconds(known.pod),
    };
    let left = (grace - (known.now.as_second() - begun.as_second())).max(1);
    if !stop_in_order(known, plan, left, !known.gone) {
        return;
    }
    // A job that still makes something has to end before it can be taken away.
    let making = |job: &Job| matches!(job, Job::Sandbox { .. } | Job::Start { .. });
    if known.memory.jobs.iter().any(making) {
        return;
    }
    if !stop_sandbox(known, plan) {
        return;
    }
    let deleted = known.gone || spec::deletion(known.pod).is_some();
    if deleted && (known.gone || known.memory.final_status_written) {
        plan.want(known, Job::Finish);
    }
}

/// Stops what runs: containers proper first, sidecars after them in reverse order. True when nothing runs.
fn stop_in_order(known: &Known<'_>, plan: &mut Plan, grace: i64, hooks: bool) -> bool {
    let sidecar = |status: &ContainerStatus| {
        spec::inits(known.pod)
            .iter()
            .position(|init| init.name == status.config.name && spec::is_sidecar(init))
    };
    let alive: Vec<_> = known.alive().collect();
    let mut mains = alive.iter().filter(|status| sidecar(status).is_none()).peekable();
    if mains.peek().is_some() {
        for status in mains {
            let message = format!("Stopping container {}", status.config.name);
            plan.want(known, stop(status, grace, &message, hooks));
        }
        return false;
    }
    if let Some(last) = alive.iter().max_by_key(|status| sidecar(status)) {
        let message = format!("Stopping container {}", last.config.name);
        plan.want(known, stop(last, grace, &message, hooks));
        return false;
    }
    true
}

fn stop_sandbox(known: &Known<'_>, plan: &mut Plan) -> bool {
    match known.ready_sandbox() {
        Some(sandbox) => {
            plan.want(known, Job::StopSandbox { id: sandbox.id.as_str().to_owned() });
            false
        }
        None => !known.memory.jobs.iter().any(|job| matches!(job, Job::StopSandbox { .. })),
    }
}
