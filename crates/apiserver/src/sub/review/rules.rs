//! What may I do?

use async_trait::async_trait;
use cox_api::kinds::without_objects::SELF_SUBJECT_RULES_REVIEW;
use cox_api::{Body, KindInfo, Response, Status};
use serde_json::{Value, json};

use super::super::{Asked, Virtual};
use super::decode;

pub(in super::super) struct RulesReviews;

#[async_trait]
impl Virtual for RulesReviews {
    fn info(&self) -> &'static KindInfo {
        &SELF_SUBJECT_RULES_REVIEW
    }

    async fn call(
        &self,
        asked: &Asked<'_>,
        body: Body,
        warnings: &mut Vec<String>,
    ) -> Result<Response, Status> {
        let review = decode(&SELF_SUBJECT_RULES_REVIEW, asked, body, warnings)?;
        let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        let (rules, faults) = asked.server.authorizer().rules_of(asked.user, namespace);
        let (mut resources, mut paths) = (Vec::new(), Vec::new());
        for rule in &rules {
            let value = serde_json::to_value(rule).unwrap_or(Value::Null);
            if !rule.resources.is_empty() {
                resources.push(value);
            } else if !rule.non_resource_urls.is_empty() {
                paths.push(value);
            }
        }
        let mut status = json!({"resourceRules": resources, "nonResourceRules": paths,
            "incomplete": !faults.is_empty()});
        if !faults.is_empty() {
            status["evaluationError"] = faults.join(", ").into();
        }
        let value = json!({"kind": SELF_SUBJECT_RULES_REVIEW.kind, "apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": {},
            "status": status});
        Ok(Response::Value { code: 201, value })
    }
}
