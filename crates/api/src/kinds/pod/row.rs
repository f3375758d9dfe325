//! The row of a pod in a table.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::spec_defaults::restarts_always;
use crate::kind::{Column, human_duration};
use crate::kinds::common::cells::{self, NONE, column, time, wide};
use crate::kinds::common::walk::{at, flag, flag_ptr, get, int, list, text};

/// The columns.
pub const COLUMNS: &[Column] = &[
    cells::NAME,
    column("Ready", "string", "Containers that are ready, of all that should be."),
    column("Status", "string", "What the pod is doing, from its phase and its containers."),
    column("Restarts", "string", "How often containers were restarted, and when last."),
    cells::AGE,
    wide("IP", "string", "Address of the pod."),
    wide("Node", "string", "Node that the pod runs on."),
    wide("Nominated Node", "string", "Node that preemption has chosen."),
    wide("Readiness Gates", "string", "Gates whose condition is true, of all."),
];

/// The cells.
pub fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &pod["spec"];
    let status = &pod["status"];
    let mut count = Count { total: list(spec, "containers").len(), ..Count::default() };
    count.total += list(spec, "initContainers").iter().filter(|each| restarts_always(each)).count();
    let reason = reason(pod, spec, status, &mut count);
    let or_none = |text: &str| -> Value { if text.is_empty() { NONE.into() } else { text.into() } };
    vec![
        cells::name(pod),
        format!("{}/{}", count.ready, count.total).into(),
        reason.into(),
        count.restarts.show(now).into(),
        cells::age(pod, now),
        or_none(
            list(status, "podIPs").first().map_or_else(|| text(status, "podIP"), |first| text(first, "ip")),
        ),
        or_none(text(spec, "nodeName")),
        or_none(text(status, "nominatedNodeName")),
        gates(spec, status),
    ]
}

/// A pod that has ended is told apart, so that clients may leave it out.
pub fn conditions(pod: &Value) -> Value {
    let phase = text(&pod["status"], "phase");
    let message = match phase {
        "Succeeded" => "The pod has completed successfully.",
        "Failed" => "The pod failed.",
        _ => return Value::Null,
    };
    json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}])
}

#[derive(Default)]
struct Count {
    ready: usize,
    total: usize,
    restarts: Restarts,
}

#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, container: &Value) {
        self.count += int(container, "restartCount");
        let finished = time(at(container, &["lastState", "terminated", "finishedAt"]));
        self.last = self.last.max(finished);
    }

    fn show(&self, now: Timestamp) -> String {
        match self.last {
            Some(last) if self.count != 0 => {
                format!("{} ({} ago)", self.count, human_duration(now.as_second() - last.as_second()))
            }
            _ => self.count.to_string(),
        }
    }
}

/// What the Status column says; counts ready containers and restarts on the way.
fn reason(pod: &Value, spec: &Value, status: &Value, count: &mut Count) -> String {
    let phase = text(status, "phase");
    let own = text(status, "reason");
    let mut reason = if own.is_empty() { phase.to_owned() } else { own.to_owned() };
    let conditions = list(status, "conditions");
    if conditions
        .iter()
        .any(|each| text(each, "type") == "PodScheduled" && text(each, "reason") == "SchedulingGated")
    {
        reason = "SchedulingGated".to_owned();
    }
    let mut sidecars = Restarts::default();
    let stuck = initializing(spec, status, count, &mut sidecars);
    let is_true = |kind: &str| {
        conditions.iter().any(|each| text(each, "type") == kind && text(each, "status") == "True")
    };
    let going = stuck.is_none() || is_true("Initialized");
    if let Some(stuck) = stuck {
        reason = stuck;
    }
    if going {
        count.restarts = sidecars;
        let mut running = false;
        for container in list(status, "containerStatuses").iter().rev() {
            count.restarts.add(container);
            let state = get(container, "state");
            let waiting =
                state.and_then(|state| get(state, "waiting")).map_or("", |state| text(state, "reason"));
            let terminated = state.and_then(|state| get(state, "terminated"));
            if !waiting.is_empty() {
                reason = waiting.to_owned();
            } else if let Some(terminated) = terminated {
                reason = ended(terminated);
            } else if flag(container, "ready") && state.is_some_and(|state| get(state, "running").is_some()) {
                running = true;
                count.ready += 1;
            }
        }
        if reason == "Completed" && running {
            reason = if is_true("Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }
    if at(pod, &["metadata", "deletionTimestamp"]).is_some() {
        if own == "NodeLost" {
            reason = "Unknown".to_owned();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            reason = "Terminating".to_owned();
        }
    }
    reason
}

/// Where initialization stands, unless it is over.
fn initializing(spec: &Value, status: &Value, count: &mut Count, sidecars: &mut Restarts) -> Option<String> {
    let init = list(spec, "initContainers");
    for (at_index, container) in list(status, "initContainerStatuses").iter().enumerate() {
        count.restarts.add(container);
        let sidecar = init.iter().any(|each| each["name"] == container["name"] && restarts_always(each));
        if sidecar {
            sidecars.add(container);
        }
        let terminated = at(container, &["state", "terminated"]);
        if terminated.is_some_and(|state| int(state, "exitCode") == 0) {
            continue;
        }
        if sidecar && flag_ptr(container, "started") == Some(true) {
            count.ready += usize::from(flag(container, "ready"));
            continue;
        }
        if let Some(state) = terminated {
            return Some(format!("Init:{}", ended(state)));
        }
        let waiting = at(container, &["state", "waiting"]).map_or("", |state| text(state, "reason"));
        if !waiting.is_empty() && waiting != "PodInitializing" {
            return Some(format!("Init:{waiting}"));
        }
        return Some(format!("Init:{at_index}/{}", init.len()));
    }
    None
}

fn ended(terminated: &Value) -> String {
    match text(terminated, "reason") {
        "" if int(terminated, "signal") != 0 => format!("Signal:{}", int(terminated, "signal")),
        "" => format!("ExitCode:{}", int(terminated, "exitCode")),
        reason => reason.to_owned(),
    }
}

fn gates(spec: &Value, status: &Value) -> Value {
    let gates = list(spec, "readinessGates");
    if gates.is_empty() {
        return NONE.into();
    }
    let open = gates
        .iter()
        .filter(|gate| {
            let wanted = text(gate, "conditionType");
            let found = list(status, "conditions").iter().find(|each| text(each, "type") == wanted);
            found.is_some_and(|condition| text(condition, "status") == "True")
        })
        .count();
    format!("{open}/{}", gates.len()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pod: Value) -> Vec<String> {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        cells(&pod, now).iter().map(|cell| cell.as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_running_pod() {
        let row = shown(json!({
            "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n", "containers": [{"name": "c"}], "readinessGates": [{"conditionType": "g"}]},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "c", "ready": true, "restartCount": 3, "state": {"running": {}},
                    "lastState": {"terminated": {"finishedAt": "2026-01-01T00:58:00Z"}}}]}}));
        assert_eq!(row, ["p", "1/1", "Running", "3 (2m ago)", "60m", "10.0.0.1", "n", "<none>", "0/1"]);
    }

    #[test]
    fn rows_of_ended_pods_are_marked() {
        for (phase, message) in [
            ("Pending", Value::Null),
            ("Running", Value::Null),
            ("Succeeded", "The pod has completed successfully.".into()),
            ("Failed", "The pod failed.".into()),
        ] {
            let found = conditions(&json!({"status": {"phase": phase}}));
            assert_eq!(found[0]["message"], message, "{phase}");
        }
    }

    #[test]
    fn the_status_column() {
        let init = json!({"initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
            "containers": [{"name": "c"}]});
        for (spec, status, deleted, expected) in [
            (json!({}), json!({"phase": "Pending"}), false, "Pending"),
            (json!({}), json!({"phase": "Failed", "reason": "Evicted"}), false, "Evicted"),
            (json!({}), json!({"phase": "Running"}), true, "Terminating"),
            (json!({}), json!({"phase": "Running", "reason": "NodeLost"}), true, "Unknown"),
            (json!({}), json!({"phase": "Succeeded"}), true, "Succeeded"),
            (
                json!({}),
                json!({"phase": "Running", "containerStatuses":
                    [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
                false,
                "CrashLoopBackOff",
            ),
            (
                json!({}),
                json!({"phase": "Running", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}),
                false,
                "ExitCode:3",
            ),
            (
                init.clone(),
                json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}),
                false,
                "Init:0/2",
            ),
            (
                init.clone(),
                json!({"phase": "Pending", "initContainerStatuses":
                    [{"name": "i", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}),
                false,
                "Init:Error",
            ),
            (
                init,
                json!({"phase": "Running", "initContainerStatuses":
                    [{"name": "i", "state": {"terminated": {"exitCode": 0}}},
                     {"name": "s", "started": true, "ready": true, "state": {"running": {}}}],
                    "containerStatuses": [{"name": "c", "state": {"terminated": {"reason": "Completed"}}}]}),
                false,
                "Completed",
            ),
            (
                json!({}),
                json!({"phase": "Running", "containerStatuses":
                    [{"state": {"terminated": {"reason": "Completed"}}}, {"ready": true, "state": {"running": {}}}]}),
                false,
                "NotReady",
            ),
            (
                json!({}),
                json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
                false,
                "SchedulingGated",
            ),
        ] {
            let mut pod = json!({"metadata": {"name": "p"}, "spec": spec, "status": status});
            if deleted {
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            }
            assert_eq!(shown(pod)[2], expected);
        }
    }
}
