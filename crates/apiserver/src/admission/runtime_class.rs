//! A pod's runtime class says what it costs besides its containers, and where it can run.
//! Source: <https://kubernetes.io/docs/concepts/containers/runtime-class/>

use cox_api::Status;
use serde_json::Value;

use super::{Attempt, Plugin, each, list_mut, text};

pub(super) struct RuntimeClass;

impl Plugin for RuntimeClass {
    fn admit(&self, attempt: &Attempt<'_>, pod: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        if !attempt.creates("", "pods") {
            return Ok(());
        }
        let Some(class) = class_of(attempt, pod)? else { return Ok(()) };
        if let Some(overhead) = class["overhead"].get("podFixed").filter(|overhead| !overhead.is_null()) {
            let given = &pod["spec"]["overhead"];
            if given.as_object().is_some_and(|given| !given.is_empty()) && given != overhead {
                return Err(attempt.forbidden(
                    "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
                ));
            }
            pod["spec"]["overhead"] = overhead.clone();
        }
        for (key, wanted) in class["scheduling"]["nodeSelector"].as_object().into_iter().flatten() {
            let spec = &mut pod["spec"];
            if !spec["nodeSelector"].is_object() {
                spec["nodeSelector"] = Value::Object(Default::default());
            }
            match spec["nodeSelector"].get(key) {
                Some(known) if known != wanted => {
                    return Err(attempt.forbidden(&format!(
                        "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                        text(wanted),
                        text(known)
                    )));
                }
                _ => spec["nodeSelector"][key] = wanted.clone(),
            }
        }
        for toleration in each(&class["scheduling"]["tolerations"]) {
            if !each(&pod["spec"]["tolerations"]).any(|known| known == toleration)
                && let Some(tolerations) = list_mut(&mut pod["spec"], "tolerations")
            {
                tolerations.push(toleration.clone());
            }
        }
        Ok(())
    }

    fn validate(&self, attempt: &Attempt<'_>, object: Option<&Value>, _: &mut Vec<String>) -> Result<(), Status> {
        let Some(pod) = object.filter(|_| attempt.creates("", "pods")) else { return Ok(()) };
        let class = class_of(attempt, pod)?.unwrap_or(Value::Null);
        let overhead = pod["spec"]["overhead"].as_object().is_some_and(|overhead| !overhead.is_empty());
        if overhead && class["overhead"].get("podFixed").is_none() {
            return Err(attempt.forbidden(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            ));
        }
        Ok(())
    }
}

fn class_of(attempt: &Attempt<'_>, pod: &Value) -> Result<Option<Value>, Status> {
    let name = text(&pod["spec"]["runtimeClassName"]);
    if name.is_empty() {
        return Ok(None);
    }
    match attempt.server.db().get("runtimeclasses", "", name) {
        Some(class) => Ok(Some(class.value())),
        None => Err(attempt.forbidden(&format!("pod rejected: RuntimeClass {name:?} not found"))),
    }
}
