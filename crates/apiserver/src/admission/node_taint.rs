//! A new node is tainted until it is ready.

use cox_api::Status;
use serde_json::{Value, json};

use super::{Attempt, Plugin, each, list_mut};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) struct TaintNodesByCondition;

impl Plugin for TaintNodesByCondition {
    fn admit(&self, attempt: &Attempt<'_>, node: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        if !attempt.creates("", "nodes") {
            return Ok(());
        }
        if !node["spec"].is_object() {
            node["spec"] = json!({});
        }
        let tainted = each(&node["spec"]["taints"])
            .any(|taint| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule");
        if !tainted && let Some(taints) = list_mut(&mut node["spec"], "taints") {
            taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
        }
        Ok(())
    }
}
