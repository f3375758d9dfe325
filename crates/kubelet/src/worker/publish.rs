//! Tells the API how the pod is: one write at a time, the newest status, and only where something changed.

use cox_api::PatchKind;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::{Value, json};

use super::{Message, Worker};
use crate::pod::spec;

/// Seconds until a write that failed is tried again.
const RETRY_SECONDS: u64 = 1;

/// What was told and what is to be told.
#[derive(Default)]
pub(super) struct Publisher {
    told: Option<PodStatus>,
    in_flight: bool,
    /// Set while the status in flight is the last one before the pod's removal.
    last: bool,
}

impl Worker {
    /// Writes the status, unless it is known already or a write is under way.
    pub(super) fn publish(&mut self, pod: &Pod, status: PodStatus, last: bool) {
        if self.publisher.in_flight {
            return;
        }
        if self.publisher.told.as_ref() == Some(&status) {
            if last && !self.memory.final_status_written {
                self.memory.final_status_written = true;
                self.wake.notify_one();
            }
            return;
        }
        self.publisher.in_flight = true;
        self.publisher.last = last;
        let (node, sender) = (self.node.clone(), self.sender.clone());
        let (namespace, name) = (spec::namespace(pod).to_owned(), spec::name(pod).to_owned());
        let patch = patch(pod, &status);
        self.node.env.spawn(async move {
            let result =
                node.client.patch_status::<Pod>(&namespace, &name, PatchKind::Strategic, patch).await;
            let result = match result {
                Ok(_) => Ok(()),
                Err(error) if error.is_not_found() || error.is_conflict() => Err(true),
                Err(error) => {
                    tracing::warn!(pod = %format!("{namespace}/{name}"), %error, "status");
                    node.env.sleep(std::time::Duration::from_secs(RETRY_SECONDS)).await;
                    Err(false)
                }
            };
            let _ = sender.send(Message::Published(Box::new(status), result)).await;
        });
    }

    /// A write has ended; `Err(true)` means that this pod is no longer there.
    pub(super) fn published(&mut self, sent: PodStatus, result: Result<(), bool>) {
        self.publisher.in_flight = false;
        match result {
            Ok(()) => {
                self.memory.final_status_written |= self.publisher.last;
                self.publisher.told = Some(sent);
            }
            Err(true) => {
                self.memory.final_status_written = true;
                self.publisher.told = Some(sent);
            }
            Err(false) => {}
        }
    }
}

/// A strategic merge patch that leaves other people's conditions alone and removes what no longer holds.
fn patch(pod: &Pod, status: &PodStatus) -> Value {
    let mut new = serde_json::to_value(status).unwrap_or_default();
    let old = pod.status.as_ref().and_then(|old| serde_json::to_value(old).ok()).unwrap_or_default();
    if let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) {
        for key in old.keys() {
            // Fields that others own are not the kubelet's to remove.
            let foreign = matches!(
                key.as_str(),
                "nominatedNodeName"
                    | "resourceClaimStatuses"
                    | "extendedResourceClaimStatus"
                    | "qosClass"
                    | "resize"
            );
            if !new.contains_key(key) && !foreign {
                new.insert(key.clone(), Value::Null);
            }
        }
    }
    if let Some(conditions) = new.get_mut("conditions").and_then(Value::as_array_mut) {
        for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
            for key in ["reason", "message"] {
                condition.entry(key).or_insert(Value::Null);
            }
        }
    }
    // Merged by address: without this an address of an earlier sandbox would stay, and two of a family are refused.
    if let Some(ips) = new.get_mut("podIPs").and_then(Value::as_array_mut) {
        ips.push(json!({"$patch": "replace"}));
    }
    json!({"metadata": {"uid": spec::uid(pod)}, "status": new})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_address_takes_the_place_of_the_old_one() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"uid": "u"}, "status": {
            "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "reason": "Old"}}))
        .unwrap();
        let status: PodStatus =
            serde_json::from_value(json!({"podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}]})).unwrap();
        let patch = patch(&pod, &status);
        let before = serde_json::to_value(&pod).unwrap();
        let table = cox_api::schema::type_of("", "v1", "Pod").unwrap();
        let now = cox_api::patch::strategic(table, &before, &patch).unwrap();
        assert_eq!(now["status"]["podIPs"], json!([{"ip": "10.0.0.2"}]));
        assert!(now["status"].get("reason").is_none());
    }
}
