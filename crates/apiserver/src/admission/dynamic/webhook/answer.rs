//! What a webhook answers.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response>

use base64::Engine;
use serde_json::Value;

use super::super::super::each;
use super::failure::{self, Failure};

/// A webhook's yes.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// A JSON patch, where the webhook wants to change something.
    pub patch: Option<Value>,
    /// Texts for the client.
    pub warnings: Vec<String>,
    /// For the audit log, under the webhook's name.
    pub annotations: Vec<(String, String)>,
    /// Why the request is refused after all.
    pub refusal: Option<cox_api::Status>,
}

fn invalid(why: &str) -> Failure {
    Failure::Unusable(format!("received invalid webhook response: {why}"))
}

/// Reads an answer to a review of a uid and a version.
pub(super) fn read(body: &[u8], uid: &str, version: &str, name: &str) -> Result<Verdict, Failure> {
    let unreadable = |why: String| Failure::Unusable(format!("failed to call webhook: {why}"));
    let review: Value = serde_json::from_slice(body)
        .map_err(|error| unreadable(format!("couldn't get version/kind; json parse error: {error}")))?;
    let response = &review["response"];
    if !response.is_object() {
        return Err(invalid("webhook response was absent"));
    }
    let patch = response["patch"].as_str().unwrap_or_default();
    if version == "v1" {
        if response["uid"] != uid {
            let got = response["uid"].as_str().unwrap_or_default();
            return Err(invalid(&format!("expected response.uid={uid:?}, got {got:?}")));
        }
        let (api_version, kind) = (review["apiVersion"].as_str(), review["kind"].as_str());
        if (api_version, kind) != (Some("admission.k8s.io/v1"), Some("AdmissionReview")) {
            let (group, of) = api_version.unwrap_or_default().split_once('/').unwrap_or_default();
            let kind = kind.unwrap_or_default();
            return Err(invalid(&format!(
                "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {group}/{of}, Kind={kind}"
            )));
        }
        match response["patchType"].as_str() {
            None if !patch.is_empty() => {
                return Err(invalid("webhook returned response.patch but not response.patchType"));
            }
            Some(_) if patch.is_empty() => {
                return Err(invalid("webhook returned response.patchType but not response.patch"));
            }
            Some(kind) if kind != "JSONPatch" => {
                return Err(invalid(&format!(
                    "invalid value of response.patchType {kind}, the only supported value is JSONPatch"
                )));
            }
            _ => {}
        }
    }
    let decoded = if patch.is_empty() {
        None
    } else {
        let bytes =
            base64::prelude::BASE64_STANDARD.decode(patch).map_err(|error| unreadable(error.to_string()))?;
        Some(serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?)
    };
    let annotations = response["auditAnnotations"].as_object().into_iter().flatten();
    let allowed = response["allowed"] == true;
    Ok(Verdict {
        patch: decoded.filter(|patch: &Value| patch.as_array().is_none_or(|steps| !steps.is_empty())),
        warnings: each(&response["warnings"]).filter_map(Value::as_str).map(str::to_owned).collect(),
        annotations: annotations
            .map(|(key, value)| (format!("{name}/{key}"), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        refusal: (!allowed).then(|| {
            // A webhook's word on the status is taken, except for one of success.
            failure::denied(name, &response["status"])
        }),
    })
}

/// What a client of upstream says of an answer that is none.
pub(super) fn refusal(code: u16, body: &[u8]) -> String {
    if let Ok(status) = serde_json::from_slice::<Value>(body)
        && status["kind"] == "Status"
        && let Some(message) = status["message"].as_str().filter(|message| !message.is_empty())
    {
        return message.to_owned();
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(2048)]).trim().to_owned();
    match code {
        400 => "the server rejected our request for an unknown reason".to_owned(),
        401 => "the server has asked for the client to provide credentials".to_owned(),
        403 if !text.is_empty() => text,
        403 => "unknown".to_owned(),
        404 => "the server could not find the requested resource".to_owned(),
        405 => "the server does not allow this method on the requested resource".to_owned(),
        429 => "the server has received too many requests and has asked us to try again later".to_owned(),
        503 => "the server is currently unable to handle the request".to_owned(),
        504 => "the server was unable to return a response in the time allotted, but may still be processing the request".to_owned(),
        500.. => format!("an error on the server ({text:?}) has prevented the request from succeeding"),
        _ => format!("the server responded with the status code {code} but did not return more information"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(review: &Value) -> Result<Verdict, String> {
        read(review.to_string().as_bytes(), "u", "v1", "w").map_err(|failure| match failure {
            Failure::Unusable(why) => why,
            Failure::Refused(status) => status.message().to_owned(),
        })
    }

    fn review(response: Value) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }

    #[test]
    fn answers_that_cannot_be_used() {
        for (answer, why) in [
            (json!({}), "received invalid webhook response: webhook response was absent"),
            (
                review(json!({"uid": "x"})),
                "received invalid webhook response: expected response.uid=\"u\", got \"x\"",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Pod", "response": {"uid": "u"}}),
                "received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=Pod",
            ),
            (
                review(json!({"uid": "u", "allowed": true, "patch": "W10="})),
                "received invalid webhook response: webhook returned response.patch but not response.patchType",
            ),
        ] {
            assert_eq!(read_json(&answer).unwrap_err(), why);
        }
    }

    #[test]
    fn answers_with_a_patch() {
        let patch = base64::prelude::BASE64_STANDARD.encode(r#"[{"op": "remove", "path": "/a"}]"#);
        let answer = review(json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": patch,
            "warnings": ["mind"], "auditAnnotations": {"k": "v"}}));
        let verdict = read_json(&answer).unwrap();
        assert_eq!(verdict.patch, Some(json!([{"op": "remove", "path": "/a"}])));
        assert_eq!(verdict.warnings, ["mind"]);
        assert_eq!(verdict.annotations, [("w/k".to_owned(), "v".to_owned())]);
        assert!(verdict.refusal.is_none());
    }
}
