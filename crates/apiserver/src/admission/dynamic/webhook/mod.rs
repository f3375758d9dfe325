//! Webhooks: servers that are asked what they think of a request.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

mod answer;
mod call;
mod endpoint;
mod failure;
mod mutating;
mod tls;
mod validating;

use std::time::Duration;

use cox_api::Status;
use cox_cel::{Budget, CALL_LIMIT};
use serde_json::Value;

use super::super::text;
use super::bindings::bindings;
use super::conditions::Conditions;
use super::criteria::Criteria;
use super::subject::{Form, Subject};
use endpoint::Endpoint;

pub(super) use mutating::{Round, admit};
pub(super) use validating::validate;

/// A webhook of a configuration.
pub(super) struct Webhook {
    pub name: String,
    /// Of its configuration: names of webhooks are unique only within one.
    pub configuration: String,
    criteria: Criteria,
    conditions: Conditions,
    endpoint: Endpoint,
    /// Its failure is that of the request.
    pub fails: bool,
    pub timeout: Duration,
    /// Whether it leaves things alone in a dry run.
    pub harmless: bool,
    /// Whether it is asked again after others have changed the object.
    pub again: bool,
    /// `v1` or `v1beta1`; none where it speaks neither.
    pub version: Option<&'static str>,
}

impl Webhook {
    pub(super) fn of(configuration: &str, hook: &Value) -> Webhook {
        let seconds = hook["timeoutSeconds"].as_u64().unwrap_or(10);
        let versions = super::super::each(&hook["admissionReviewVersions"]);
        Webhook {
            name: text(&hook["name"]).to_owned(),
            configuration: configuration.to_owned(),
            criteria: Criteria::of(hook, "rules"),
            conditions: Conditions::of(hook, false),
            endpoint: Endpoint::of(&hook["clientConfig"], seconds),
            fails: text(&hook["failurePolicy"]) != "Ignore",
            timeout: Duration::from_secs(seconds),
            harmless: matches!(text(&hook["sideEffects"]), "None" | "NoneOnDryRun"),
            again: text(&hook["reinvocationPolicy"]) == "IfNeeded",
            version: versions.filter_map(Value::as_str).find_map(|version| match version {
                "v1" => Some("v1"),
                "v1beta1" => Some("v1beta1"),
                _ => None,
            }),
        }
    }

    /// The form in which the request is to be shown; none where the webhook has no say in it.
    ///
    /// # Errors
    /// 403 where its conditions fail and its failures count, 404 where the namespace isn't there.
    fn wants(&self, subject: &Subject<'_>) -> Result<Option<Form>, Status> {
        let Some(form) = self.criteria.matching(subject)? else { return Ok(None) };
        if self.conditions.is_empty() {
            return Ok(Some(form));
        }
        let attempt = subject.attempt;
        let bindings = bindings(attempt.server.authorizer(), subject, form)?;
        match self.conditions.hold(&bindings, &mut Budget::new(CALL_LIMIT)) {
            Ok(true) => Ok(Some(form)),
            Ok(false) => Ok(None),
            Err(why) if self.fails => {
                Err(Status::forbidden(attempt.info.group, attempt.info.plural, subject.name, &why))
            }
            Err(_) => Ok(None),
        }
    }
}
