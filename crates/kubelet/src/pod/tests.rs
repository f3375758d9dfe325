//! Tables of cases for the plan and the status.

use cox_runtime::{
    ContainerConfig, ContainerState, ContainerStatus, SandboxConfig, SandboxState, SandboxStatus,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::known::{Ended, Health, Job, Known, Memory};
use super::plan::{Outcome, outcome, plan};
use super::status::{NodeFacts, status};

fn pod(spec: serde_json::Value) -> Pod {
    serde_json::from_value(
        json!({"metadata": {"name": "p", "namespace": "n", "uid": "u", "generation": 1}, "spec": spec}),
    )
    .expect("a pod")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).expect("a time")
}

fn sandbox() -> SandboxStatus {
    SandboxStatus {
        id: "s".into(),
        config: SandboxConfig { uid: "u".into(), ..SandboxConfig::default() },
        state: SandboxState::Ready,
        created_at: at(0),
        supervisor_pid: Some(1),
    }
}

fn container(name: &str, attempt: u32, state: ContainerState, code: Option<i32>) -> ContainerStatus {
    ContainerStatus {
        id: format!("{name}-{attempt}").into(),
        sandbox: "s".into(),
        config: ContainerConfig { name: name.into(), attempt, ..ContainerConfig::default() },
        state,
        pid: None,
        created_at: at(1),
        started_at: Some(at(1)),
        finished_at: code.map(|_| at(5)),
        exit_code: code,
        signal: None,
        reason: code
            .map_or(String::new(), |code| if code == 0 { "Completed".into() } else { "Error".into() }),
        message: String::new(),
        image_id: "sha256:1".into(),
        image_ref: String::new(),
        log_path: None,
        user: None,
    }
}

/// A worker's view in a case: containers there, images seen.
struct Case {
    pod: Pod,
    sandbox: Option<SandboxStatus>,
    containers: Vec<ContainerStatus>,
    memory: Memory,
    gone: bool,
}

impl Case {
    fn new(spec: serde_json::Value) -> Case {
        let pod = pod(spec);
        let mut memory = Memory { start_time: Some(at(0)), ..Memory::default() };
        for name in ["a", "b", "i", "j", "s"] {
            memory.images.insert(name.into(), "sha256:1".into());
        }
        Case { pod, sandbox: Some(sandbox()), containers: Vec::new(), memory, gone: false }
    }

    fn with(mut self, containers: Vec<ContainerStatus>) -> Case {
        for container in &containers {
            let health = Health { hook_done: true, started: true, ready: true, doomed: None };
            self.memory.health.insert(container.id.as_str().into(), health);
        }
        self.containers = containers;
        self
    }

    fn known(&self, second: i64) -> Known<'_> {
        Known {
            pod: &self.pod,
            gone: self.gone,
            sandbox: self.sandbox.as_ref(),
            containers: &self.containers,
            memory: &self.memory,
            now: at(second),
        }
    }

    /// The jobs as short words.
    fn jobs(&self, second: i64) -> Vec<String> {
        let short = |job: Job| match job {
            Job::Sandbox { attempt } => format!("sandbox {attempt}"),
            Job::Image { container } => format!("image {container}"),
            Job::Start { container, attempt } => format!("start {container} {attempt}"),
            Job::Stop { container, grace_seconds, .. } => format!("stop {container} {grace_seconds}"),
            Job::Remove { id } => format!("remove {id}"),
            Job::StopSandbox { .. } => "stop sandbox".into(),
            Job::Finish => "finish".into(),
        };
        plan(&self.known(second)).jobs.into_iter().map(short).collect()
    }

    fn phase(&self, second: i64) -> String {
        let node = NodeFacts { host_ip: "1.2.3.4".into(), scheme: "cox://".into() };
        status(&self.known(second), &node).phase.unwrap_or_default()
    }
}

use ContainerState::{Created, Exited, Running};

#[test]
fn what_was_created_and_not_started_is_started() {
    let mut case =
        Case::new(json!({"containers": [{"name": "a"}]})).with(vec![container("a", 1, Created, None)]);
    assert_eq!(case.jobs(1), ["start a 1"]);
    case.memory.jobs.insert(Job::Start { container: "a".into(), attempt: 1 });
    assert!(case.jobs(1).is_empty(), "it is being started");
    let init = json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]});
    let case = Case::new(init).with(vec![container("i", 0, Created, None)]);
    assert_eq!(case.jobs(1), ["start i 0"]);
}

#[test]
fn a_pod_begins_with_its_sandbox_then_image_then_start() {
    let mut case = Case::new(json!({"containers": [{"name": "a"}, {"name": "b"}]}));
    case.sandbox = None;
    assert_eq!(case.jobs(1), ["sandbox 0"]);
    case.sandbox = Some(sandbox());
    case.memory.images.remove("a");
    assert_eq!(case.jobs(1), ["image a", "start b 0"]);
    case.memory.images.insert("a".into(), "sha256:1".into());
    assert_eq!(case.jobs(1), ["start a 0"], "one after the other");
    assert_eq!(case.phase(1), "Pending");
    let case = case.with(vec![container("a", 0, Running, None), container("b", 0, Running, None)]);
    assert!(case.jobs(1).is_empty());
    assert_eq!(case.phase(1), "Running");
}

#[test]
fn init_containers_run_in_order_and_fail_the_pod_that_never_restarts() {
    let spec = |policy: &str| json!({"restartPolicy": policy, "initContainers": [{"name": "i"}, {"name": "j"}], "containers": [{"name": "a"}]});
    let case = Case::new(spec("Always"));
    assert_eq!(case.jobs(1), ["start i 0"]);
    let case = case.with(vec![container("i", 0, Running, None)]);
    assert!(case.jobs(1).is_empty());
    let case = case.with(vec![container("i", 0, Exited, Some(0))]);
    assert_eq!(case.jobs(1), ["start j 0"]);
    let case = case.with(vec![container("i", 0, Exited, Some(0)), container("j", 0, Exited, Some(1))]);
    assert_eq!(case.jobs(6), ["start j 1"]);
    assert_eq!(case.phase(6), "Pending");
    let done = case.with(vec![container("i", 0, Exited, Some(0)), container("j", 1, Exited, Some(0))]);
    assert_eq!(done.jobs(6), ["start a 0"]);
    let never = Case::new(spec("Never")).with(vec![container("i", 0, Exited, Some(3))]);
    assert_eq!(outcome(&never.known(6)), Outcome::Failed);
    assert_eq!(never.jobs(6), ["stop sandbox"]);
    assert_eq!(never.phase(6), "Failed");
}

#[test]
fn sidecars_start_first_run_along_and_end_last() {
    let mut case = Case::new(json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 7,
        "initContainers": [{"name": "s", "restartPolicy": "Always"}], "containers": [{"name": "a"}]}));
    assert_eq!(case.jobs(1), ["start s 0"]);
    case = case.with(vec![container("s", 0, Running, None)]);
    case.memory.health.get_mut("s-0").unwrap().started = false;
    assert!(case.jobs(1).is_empty(), "not before the sidecar has started");
    case.memory.health.get_mut("s-0").unwrap().started = true;
    assert_eq!(case.jobs(1), ["start a 0"]);
    case = case.with(vec![container("s", 0, Running, None), container("a", 0, Exited, Some(0))]);
    assert_eq!(case.jobs(6), ["stop s 7"]);
    case = case.with(vec![container("s", 0, Exited, Some(143)), container("a", 0, Exited, Some(0))]);
    assert_eq!(case.jobs(6), ["stop sandbox"]);
    assert_eq!(case.phase(6), "Succeeded");
    case = case.with(vec![container("s", 0, Exited, Some(1)), container("a", 0, Running, None)]);
    assert_eq!(case.jobs(6), ["start s 1"], "a sidecar restarts whatever the policy");
}

#[test]
fn restarts_follow_the_policy_and_back_off() {
    for (policy, code, restarts) in
        [("Always", 0, true), ("OnFailure", 0, false), ("OnFailure", 1, true), ("Never", 1, false)]
    {
        let case = Case::new(json!({"restartPolicy": policy, "containers": [{"name": "a"}]}))
            .with(vec![container("a", 0, Exited, Some(code))]);
        assert_eq!(case.jobs(6).contains(&"start a 1".to_owned()), restarts, "{policy} {code}");
    }
    let mut case =
        Case::new(json!({"containers": [{"name": "a"}]})).with(vec![container("a", 1, Exited, Some(1))]);
    let first = super::backoff::Backoff::after_exit(None, at(0));
    let second = super::backoff::Backoff::after_exit(Some(first), at(5));
    case.memory.restart_backoff.insert("a".into(), ("a-1".into(), second));
    let known = case.known(6);
    let planned = plan(&known);
    assert!(planned.jobs.is_empty());
    assert_eq!(planned.wake_at, Some(at(15)));
    let node = NodeFacts { host_ip: "1.2.3.4".into(), scheme: "cox://".into() };
    let told = status(&known, &node);
    let waiting = told.container_statuses.unwrap()[0].state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(waiting.message.as_deref(), Some("back-off 10s restarting failed container=a pod=p_n(u)"));
    assert_eq!(case.jobs(15), ["start a 2"]);
}

#[test]
fn a_deleted_pod_stops_its_containers_then_the_sandbox_then_goes() {
    let mut case =
        Case::new(json!({"containers": [{"name": "a"}]})).with(vec![container("a", 0, Running, None)]);
    case.pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(40)));
    case.pod.metadata.deletion_grace_period_seconds = Some(30);
    case.memory.terminating_since = Some(at(10));
    assert_eq!(case.jobs(10), ["stop a 30"]);
    assert_eq!(case.jobs(25), ["stop a 15"]);
    case = case.with(vec![container("a", 0, Exited, Some(143))]);
    assert_eq!(case.jobs(26), ["stop sandbox"]);
    case.sandbox.as_mut().unwrap().state = SandboxState::NotReady;
    assert!(case.jobs(27).is_empty(), "not before the last status is written");
    case.memory.final_status_written = true;
    assert_eq!(case.jobs(27), ["finish"]);
}

#[test]
fn a_lost_sandbox_is_made_anew_and_only_what_restarts_runs_again() {
    let mut case =
        Case::new(json!({"restartPolicy": "OnFailure", "containers": [{"name": "a"}, {"name": "b"}]}))
            .with(vec![container("a", 0, Exited, Some(0)), container("b", 0, Exited, Some(137))]);
    case.sandbox.as_mut().unwrap().state = SandboxState::NotReady;
    assert_eq!(case.jobs(6), ["sandbox 1"]);
    let mut next = sandbox();
    next.id = "t".into();
    case.sandbox = Some(next);
    assert_eq!(case.jobs(6), ["start b 1"]);
}

#[test]
fn probes_decide_readiness_and_doom() {
    let mut case = Case::new(json!({"containers": [{"name": "a", "readinessProbe": {}}]}))
        .with(vec![container("a", 0, Running, None)]);
    case.memory.health.get_mut("a-0").unwrap().ready = false;
    let node = NodeFacts { host_ip: "1.2.3.4".into(), scheme: "cox://".into() };
    let told = status(&case.known(2), &node);
    let ready = told
        .conditions
        .as_ref()
        .unwrap()
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .unwrap()
        .clone();
    assert_eq!((ready.status.as_str(), ready.reason.as_deref()), ("False", Some("ContainersNotReady")));
    assert_eq!(ready.message.as_deref(), Some("containers with unready status: [a]"));
    case.memory.health.get_mut("a-0").unwrap().doomed = Some(("it failed".into(), Some(3)));
    assert_eq!(case.jobs(2), ["stop a 3"]);
}

#[test]
fn old_exited_containers_are_removed_but_one() {
    let case = Case::new(json!({"containers": [{"name": "a"}]})).with(vec![
        container("a", 0, Exited, Some(1)),
        container("a", 1, Exited, Some(1)),
        container("a", 2, Running, None),
    ]);
    assert_eq!(case.jobs(6), ["remove a-0"]);
}

#[test]
fn a_pod_past_its_deadline_is_over_only_when_nothing_runs() {
    let spec = json!({"activeDeadlineSeconds": 3, "containers": [{"name": "c", "image": "i"}]});
    let mut case = Case::new(spec);
    case.memory.ended =
        Some(Ended { reason: "DeadlineExceeded".into(), message: "too long".into(), grace_seconds: None });
    let told = |case: &Case| {
        let facts = NodeFacts { host_ip: "10.0.0.1".into(), scheme: "cox".into() };
        let status = status(&case.known(10), &facts);
        (status.phase.unwrap_or_default(), status.reason)
    };
    case.containers = vec![container("c", 0, ContainerState::Running, None)];
    assert_eq!(told(&case), ("Running".into(), None));
    case.containers = vec![container("c", 0, ContainerState::Exited, Some(137))];
    assert_eq!(told(&case), ("Failed".into(), Some("DeadlineExceeded".into())));
}
