//! What becomes of a request when a webhook can't be asked, or refuses.

use cox_api::{Reason, Status};
use serde_json::{Value, json};

/// Why there is no verdict to go on with.
#[derive(Debug)]
pub(super) enum Failure {
    /// It couldn't be asked, or its answer can't be used: `failurePolicy` decides.
    Unusable(String),
    /// The request is refused.
    Refused(Status),
}

/// 500 for a webhook whose failures count.
pub(super) fn failed(name: &str, why: &str) -> Status {
    Status::internal(format!("failed calling webhook {name:?}: {why}"))
}

/// A refusal by its words (`metav1.Status`).
pub(super) fn denied(name: &str, result: &Value) -> Status {
    let text = |key: &str| result[key].as_str().unwrap_or_default();
    let denied = format!("admission webhook {name:?} denied the request");
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let code = result["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let mut status =
        json!({"code": if code < 400 { 400 } else { code }, "message": message, "reason": text("reason")});
    if result["details"].is_object() {
        status["details"] = result["details"].clone();
    }
    Status::from_value(&status)
}

/// 400 for a webhook that would act in a dry run.
pub(super) fn no_dry_run(name: &str) -> Status {
    Status::new(400, Reason::BadRequest, format!("admission webhook {name:?} does not support dry run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_worded_as_upstreams() {
        for (result, code, message) in [
            (json!(null), 400, "admission webhook \"w\" denied the request without explanation"),
            (json!({"message": "no", "code": 403}), 403, "admission webhook \"w\" denied the request: no"),
            (json!({"reason": "Why", "code": 200}), 400, "admission webhook \"w\" denied the request: Why"),
        ] {
            let status = denied("w", &result);
            assert_eq!((status.code(), status.message()), (code, message));
        }
    }
}
