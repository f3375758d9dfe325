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
        if each(&class["scheduling"]["tolerations"]).next().is_some()
            && let Some(tolerations) = list_mut(&mut pod["spec"], "tolerations")
        {
            tolerations.extend(each(&class["scheduling"]["tolerations"]).cloned());
            *tolerations = merged(tolerations);
        }
        Ok(())
    }

    fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&Value>,
        _: &mut Vec<String>,
    ) -> Result<(), Status> {
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

/// Tolerations without those that others take in.
fn merged(all: &[Value]) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for (at, toleration) in all.iter().enumerate() {
        let taken_in = kept.iter().any(|other| takes_in(other, toleration))
            || all[at + 1..].iter().any(|other| other != toleration && takes_in(other, toleration));
        if !taken_in {
            kept.push(toleration.clone());
        }
    }
    kept
}

/// Whether one toleration tolerates all that the other does.
fn takes_in(wide: &Value, narrow: &Value) -> bool {
    if wide == narrow {
        return true;
    }
    let of = |toleration: &'_ Value, key: &str| text(&toleration[key]).to_owned();
    let (key, operator, effect) = (of(wide, "key"), of(wide, "operator"), of(wide, "effect"));
    let any_key = key.is_empty() && operator == "Exists";
    if of(narrow, "key") != key && !any_key || of(narrow, "effect") != effect && !effect.is_empty() {
        return false;
    }
    let seconds = |toleration: &Value| toleration["tolerationSeconds"].as_i64();
    if effect == "NoExecute"
        && let Some(most) = seconds(wide)
        && seconds(narrow).is_none_or(|own| own > most)
    {
        return false;
    }
    match operator.as_str() {
        "" | "Equal" => of(narrow, "operator") == "Equal" && of(narrow, "value") == of(wide, "value"),
        "Exists" => true,
        _ => false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_wider_toleration_stays() {
        let all = json!({"operator": "Exists"});
        let of_key = |operator: &str, value: &str| json!({"key": "k", "operator": operator, "value": value});
        let for_seconds = |seconds: i64| json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        for (given, expected) in [
            (vec![of_key("Equal", "a"), all.clone()], vec![all.clone()]),
            (vec![all.clone(), of_key("Equal", "a")], vec![all.clone()]),
            (vec![of_key("Equal", "a"), of_key("Equal", "a")], vec![of_key("Equal", "a")]),
            (
                vec![of_key("Equal", "a"), of_key("Equal", "b")],
                vec![of_key("Equal", "a"), of_key("Equal", "b")],
            ),
            (vec![for_seconds(5), for_seconds(9)], vec![for_seconds(9)]),
        ] {
            assert_eq!(merged(&given), expected);
        }
    }
}
