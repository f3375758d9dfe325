//! Presets of a namespace, merged into new pods that they select. Upstream had this until 1.20.

use cox_api::Status;
use cox_api::selector::LabelSelector;
use serde_json::{Map, Value};

use super::{Attempt, Plugin, each, each_mut, list_mut, text};

const MIRROR: &str = "kubernetes.io/config.mirror";
const EXCLUDE: &str = "podpreset.admission.kubernetes.io/exclude";
const APPLIED: &str = "podpreset.admission.kubernetes.io/podpreset-";

pub(super) struct PodPreset;

impl Plugin for PodPreset {
    fn admit(
        &self,
        attempt: &Attempt<'_>,
        pod: &mut Value,
        warnings: &mut Vec<String>,
    ) -> Result<(), Status> {
        if !attempt.creates("", "pods") {
            return Ok(());
        }
        let annotations = &pod["metadata"]["annotations"];
        if annotations.get(MIRROR).is_some() || annotations[EXCLUDE] == "true" {
            return Ok(());
        }
        let labels = &pod["metadata"]["labels"];
        let presets: Vec<Value> = attempt
            .server
            .db()
            .list("podpresets", Some(attempt.namespace))
            .iter()
            .map(cox_api::Object::value)
            .filter(|preset| {
                LabelSelector::of_object(&preset["spec"]["selector"])
                    .is_ok_and(|selector| selector.matches(labels))
            })
            .collect();
        if presets.is_empty() {
            return Ok(());
        }
        match merged(pod, &presets) {
            Ok(result) => *pod = result,
            // The pod is let in as it is; the event says why nothing was injected.
            Err(why) => {
                let names: Vec<&str> =
                    presets.iter().map(|preset| text(&preset["metadata"]["name"])).collect();
                let message =
                    format!("conflict occurred while applying podpresets: {} on pod: {why}", names.join(","));
                warnings.push(message.clone());
                conflict_event(attempt, pod, message);
            }
        }
        Ok(())
    }
}

/// The pod with everything of the presets.
fn merged(pod: &Value, presets: &[Value]) -> Result<Value, String> {
    let mut pod = pod.clone();
    for preset in presets {
        let spec = &preset["spec"];
        for part in ["containers", "initContainers"] {
            for container in each_mut(pod["spec"].get_mut(part)) {
                merge_list(container, "env", &spec["env"], &["name"], "environment variable")?;
                merge_list(
                    container,
                    "volumeMounts",
                    &spec["volumeMounts"],
                    &["name", "mountPath"],
                    "volume mount",
                )?;
                let sources: Vec<Value> = each(&spec["envFrom"]).cloned().collect();
                if !sources.is_empty()
                    && let Some(list) = list_mut(container, "envFrom")
                {
                    list.extend(sources);
                }
            }
        }
        merge_list(&mut pod["spec"], "volumes", &spec["volumes"], &["name"], "volume")?;
        if !pod["metadata"]["annotations"].is_object() {
            pod["metadata"]["annotations"] = Value::Object(Map::new());
        }
        let key = format!("{APPLIED}{}", text(&preset["metadata"]["name"]));
        pod["metadata"]["annotations"][&key] = preset["metadata"]["resourceVersion"].clone();
    }
    Ok(pod)
}

/// Adds what isn't there; another entry under one of the same keys is a conflict.
fn merge_list(owner: &mut Value, field: &str, more: &Value, keys: &[&str], what: &str) -> Result<(), String> {
    for entry in each(more) {
        if each(&owner[field]).any(|known| known == entry) {
            continue;
        }
        let clash =
            |known: &Value| keys.iter().any(|key| known[*key] == entry[*key] && !entry[*key].is_null());
        if each(&owner[field]).any(clash) {
            return Err(format!(
                "merging {what} {} has a conflict on {}",
                text(&entry["name"]),
                text(&entry[keys[0]])
            ));
        }
        if let Some(list) = list_mut(owner, field) {
            list.push(entry.clone());
        }
    }
    Ok(())
}

/// Tells of a conflict, in the background: admission doesn't wait for it.
fn conflict_event(attempt: &Attempt<'_>, pod: &Value, message: String) {
    use cox_api::{Header, Object, kinds};
    use cox_store::{Expect, Key, Txn};
    use serde_json::json;

    let env = attempt.server.env();
    let name = text(&pod["metadata"]["name"]);
    let name =
        if name.is_empty() { text(&pod["metadata"]["generateName"]).trim_end_matches('-') } else { name };
    let now = env.now_rfc3339();
    let event = json!({"apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("{name}.{}", env.chance().suffix(16)), "namespace": attempt.namespace,
            "uid": env.chance().uid(), "creationTimestamp": now},
        "involvedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": attempt.namespace, "name": name},
        "reason": "AdmissionError", "message": message, "type": "Warning", "count": 1,
        "firstTimestamp": now, "lastTimestamp": now, "eventTime": null,
        "source": {"component": "podpreset-admission"},
        "reportingComponent": "podpreset-admission", "reportingInstance": ""});
    let Some(kind) = kinds::by_kind("", "v1", "Event") else { return };
    let object = Object::new(&event, Header::of(&event, kind.selectable(&event)), 0);
    let key = Key::new("events", attempt.namespace, text(&event["metadata"]["name"]));
    let db = attempt.server.db().clone();
    env.spawn(async move {
        if db.commit(Txn::put(key, Expect::Absent, object)).await.is_err() {
            tracing::debug!("an event of a preset's conflict was not written");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn preset(spec: Value) -> Value {
        json!({"metadata": {"name": "p", "resourceVersion": "7"}, "spec": spec})
    }

    #[test]
    fn identical_entries_are_fine_and_others_conflict() {
        let pod = json!({"metadata": {}, "spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}]}]}});
        let same = preset(json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}));
        let result = merged(&pod, &[same]).unwrap();
        assert_eq!(result["spec"]["containers"][0]["env"].as_array().map(Vec::len), Some(2));
        assert_eq!(result["metadata"]["annotations"][format!("{APPLIED}p")], "7");
        let other = preset(json!({"env": [{"name": "A", "value": "2"}]}));
        assert!(merged(&pod, &[other]).is_err());
    }

    #[test]
    fn two_mounts_at_one_path_conflict() {
        let pod = json!({"metadata": {}, "spec": {"initContainers": [{"name": "i",
            "volumeMounts": [{"name": "v", "mountPath": "/a"}]}]}});
        let clash = preset(json!({"volumeMounts": [{"name": "w", "mountPath": "/a"}]}));
        assert!(merged(&pod, &[clash]).is_err());
    }
}
