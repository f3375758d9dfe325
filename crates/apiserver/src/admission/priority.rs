//! From the name of a priority class to a pod's priority.
//! Source: <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/>

use std::sync::Arc;

use cox_api::Status;
use serde_json::Value;

use super::{Attempt, Operation, Plugin, text};

const PREFIX: &str = "priorityclasses";
const GROUP: &str = "scheduling.k8s.io";
const SYSTEM: [&str; 2] = ["system-node-critical", "system-cluster-critical"];

pub(super) struct Priority;

impl Plugin for Priority {
    fn admit(&self, attempt: &Attempt<'_>, pod: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        if !attempt.is("", "pods", "") {
            return Ok(());
        }
        if attempt.operation == Operation::Update {
            // What admission once set stays where an update leaves it out.
            let old = attempt.old.map(|old| &old["spec"]);
            for key in ["priority", "preemptionPolicy"] {
                let known = old.and_then(|old| old.get(key)).filter(|value| !value.is_null());
                if let Some(known) = known
                    && pod["spec"].get(key).is_none_or(Value::is_null)
                {
                    pod["spec"][key] = known.clone();
                }
            }
            return Ok(());
        }
        if attempt.operation == Operation::Create { set_priority(attempt, pod) } else { Ok(()) }
    }

    fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        _: &mut Vec<String>,
    ) -> Result<(), Status> {
        if !attempt.is(GROUP, PREFIX, "") {
            return Ok(());
        }
        match object {
            None if attempt.operation == Operation::Delete && SYSTEM.contains(&attempt.name.as_str()) => {
                Err(attempt.forbidden("this is a system priority class and cannot be deleted"))
            }
            Some(class) if class["globalDefault"] == true => {
                let known = global_default(attempt).filter(|known| known["metadata"]["name"] != attempt.name);
                match known {
                    Some(known) => Err(attempt.forbidden(&format!(
                        "PriorityClass {} is already marked as default. Only one default can exist",
                        text(&known["metadata"]["name"])
                    ))),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// The default class of the lowest value.
fn global_default(attempt: &Attempt<'_>) -> Option<Arc<Value>> {
    attempt
        .server
        .db()
        .list(PREFIX, None)
        .iter()
        .map(|class| class.parsed().clone())
        .filter(|class| class["globalDefault"] == true)
        .min_by_key(|class| class["value"].as_i64())
}

fn set_priority(attempt: &Attempt<'_>, pod: &mut Value) -> Result<(), Status> {
    let name = text(&pod["spec"]["priorityClassName"]).to_owned();
    let class = if name.is_empty() {
        global_default(attempt)
    } else {
        let found = attempt.server.db().get(PREFIX, "", &name).map(|class| class.parsed().clone());
        Some(
            found
                .ok_or_else(|| attempt.forbidden(&format!("no PriorityClass with name {name} was found")))?,
        )
    };
    let priority = class.as_ref().and_then(|class| class["value"].as_i64()).unwrap_or(0);
    let policy = class
        .as_ref()
        .and_then(|class| class["preemptionPolicy"].as_str())
        .unwrap_or("PreemptLowerPriority")
        .to_owned();
    if let Some(given) = pod["spec"]["priority"].as_i64()
        && given != priority
    {
        return Err(attempt.forbidden(&format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        )));
    }
    if let Some(given) = pod["spec"]["preemptionPolicy"].as_str()
        && given != policy
    {
        return Err(attempt.forbidden(&format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        )));
    }
    let spec = &mut pod["spec"];
    if let Some(class) = &class {
        spec["priorityClassName"] = class["metadata"]["name"].clone();
    }
    spec["priority"] = priority.into();
    spec["preemptionPolicy"] = policy.into();
    Ok(())
}
