//! Pods stay five minutes on a node that is not ready or unreachable, where they don't say otherwise.

use cox_api::Status;
use serde_json::{Value, json};

use super::{Attempt, Operation, Plugin, each, list_mut, text};

const SECONDS: i64 = 300;

pub(super) struct DefaultTolerationSeconds;

impl Plugin for DefaultTolerationSeconds {
    fn admit(&self, attempt: &Attempt<'_>, pod: &mut Value, _: &mut Vec<String>) -> Result<(), Status> {
        if attempt.operation == Operation::Delete || !attempt.is("", "pods", "") {
            return Ok(());
        }
        let tolerates = |taint: &str| {
            each(&pod["spec"]["tolerations"]).any(|toleration| {
                let (key, effect) = (text(&toleration["key"]), text(&toleration["effect"]));
                (key.is_empty() || key == taint) && (effect.is_empty() || effect == "NoExecute")
            })
        };
        let missing: Vec<&str> = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
            .into_iter()
            .filter(|taint| !tolerates(taint))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if let Some(tolerations) = list_mut(&mut pod["spec"], "tolerations") {
            for taint in missing {
                tolerations.push(json!({"key": taint, "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": SECONDS}));
            }
        }
        Ok(())
    }
}
