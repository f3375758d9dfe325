//! `spec.podFailurePolicy`: what a failed pod means.

use k8s_openapi::api::batch::v1::{JobSpec, PodFailurePolicyRule};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::common::owner::{name, namespace};

/// What is done about a failed pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts towards the limits.
    Count,
    /// It is replaced and counts nowhere.
    Ignore,
    /// Its index has failed.
    FailIndex,
    /// The Job has failed, for this reason.
    FailJob(String),
}

/// The verdict of the first rule that matches.
pub(super) fn judge(spec: &JobSpec, pod: &Pod) -> Verdict {
    let Some(policy) = &spec.pod_failure_policy else { return Verdict::Count };
    for (number, rule) in policy.rules.iter().enumerate() {
        let Some(what) = matching(rule, pod) else { continue };
        return match rule.action.as_str() {
            "Ignore" => Verdict::Ignore,
            "FailIndex" => Verdict::FailIndex,
            "FailJob" => Verdict::FailJob(format!("{what} matching FailJob rule at index {number}")),
            _ => Verdict::Count,
        };
    }
    Verdict::Count
}

fn matching(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let place = || format!("{}/{}", namespace(pod), name(pod));
    if let Some(codes) = &rule.on_exit_codes {
        let status = pod.status.as_ref()?;
        let ended = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        return ended
            .filter(|container| codes.container_name.as_ref().is_none_or(|name| *name == container.name))
            .find_map(|container| {
                let code = exit_code(container).filter(|code| *code != 0)?;
                let listed = codes.values.contains(&code);
                let matches = if codes.operator == "NotIn" { !listed } else { listed };
                matches.then(|| {
                    format!("Container {} for pod {} failed with exit code {code}", container.name, place())
                })
            });
    }
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    rule.on_pod_conditions.iter().flatten().find_map(|pattern| {
        let wanted = pattern.status.as_deref().unwrap_or("True");
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == pattern.type_ && condition.status == wanted)
            .then(|| format!("Pod {} has condition {}", place(), pattern.type_))
    })
}

fn exit_code(container: &ContainerStatus) -> Option<i32> {
    Some(container.state.as_ref()?.terminated.as_ref()?.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::testing::{at, object, pod};
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::{Value, json};

    fn spec(rules: Value) -> JobSpec {
        let job: Job = object(json!({"metadata": {}, "spec": {"podFailurePolicy": {"rules": rules},
            "template": {"spec": {"containers": []}}}}));
        job.spec.unwrap()
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let exits = |code: i32| {
            pod("p").phase("Failed").with(|pod| {
                let status = json!({"phase": "Failed", "containerStatuses": [{"name": "main", "ready": false,
                    "restartCount": 0, "image": "", "imageID": "",
                    "state": {"terminated": {"exitCode": code}}}]});
                pod.status = serde_json::from_value(status).unwrap();
            })
        };
        let rules = spec(json!([
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
            {"action": "FailIndex", "onExitCodes": {"containerName": "main", "operator": "NotIn", "values": [1, 2]}},
        ]));
        let judged = |pod: &Pod| judge(&rules, pod);
        assert_eq!(judged(&exits(1).build()), Verdict::Count);
        assert_eq!(judged(&exits(9).build()), Verdict::FailIndex);
        let message = "Container main for pod ns/p failed with exit code 42 matching FailJob rule at index 1";
        assert_eq!(judged(&exits(42).build()), Verdict::FailJob(message.into()));
        let disrupted = exits(42).condition("DisruptionTarget", "True", at(0)).build();
        assert_eq!(judged(&disrupted), Verdict::Ignore);
    }
}
