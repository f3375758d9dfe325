//! Who am I, and who has this token?

use async_trait::async_trait;
use cox_api::kinds::without_objects::{COMPONENT_STATUS, SELF_SUBJECT_REVIEW, TOKEN_REVIEW};
use cox_api::{Body, KindInfo, Response, Status, Verb};
use serde_json::{Map, Value, json};

use super::super::{Asked, Virtual};
use super::decode;
use crate::auth::User;

fn user_info(user: &User) -> Value {
    let mut info = Map::new();
    if !user.name.is_empty() {
        info.insert("username".into(), user.name.as_str().into());
    }
    if !user.uid.is_empty() {
        info.insert("uid".into(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        info.insert("groups".into(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        info.insert("extra".into(), json!(user.extra));
    }
    Value::Object(info)
}

pub(in super::super) struct SelfSubjectReviews;

#[async_trait]
impl Virtual for SelfSubjectReviews {
    fn info(&self) -> &'static KindInfo {
        &SELF_SUBJECT_REVIEW
    }

    async fn call(
        &self,
        asked: &Asked<'_>,
        body: Body,
        warnings: &mut Vec<String>,
    ) -> Result<Response, Status> {
        let mut review = decode(&SELF_SUBJECT_REVIEW, asked, body, warnings)?;
        review["metadata"] = json!({"creationTimestamp": asked.server.env().now_rfc3339()});
        review["status"] = json!({"userInfo": user_info(asked.user)});
        Ok(Response::Value { code: 201, value: review })
    }
}

pub(in super::super) struct TokenReviews;

#[async_trait]
impl Virtual for TokenReviews {
    fn info(&self) -> &'static KindInfo {
        &TOKEN_REVIEW
    }

    async fn call(
        &self,
        asked: &Asked<'_>,
        body: Body,
        warnings: &mut Vec<String>,
    ) -> Result<Response, Status> {
        let mut review = decode(&TOKEN_REVIEW, asked, body, warnings)?;
        let token = review["spec"]["token"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        let wanted: Vec<String> = review["spec"]["audiences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect();
        let server = asked.server;
        let audiences = if wanted.is_empty() { server.tokens().audiences().to_vec() } else { wanted };
        let refused = |why: String| json!({"user": {}, "error": why});
        let accepted = |user: &User, audiences: &[String]| json!({"authenticated": true, "user": user_info(user), "audiences": audiences});
        review["status"] = match server.tokens().verify(&token, Some(&audiences)) {
            Ok(Some(verified)) => accepted(&verified.user, &verified.audiences),
            Err(why) => refused(format!("[invalid bearer token, {why}]")),
            // Other tokens are good for this API server alone.
            Ok(None) if audiences.iter().any(|one| server.tokens().audiences().contains(one)) => {
                match server.login().bearer(server.tokens(), &token) {
                    Ok(user) => accepted(&user, server.tokens().audiences()),
                    Err(why) => refused(why.0),
                }
            }
            Ok(None) => json!({"user": {}}),
        };
        Ok(Response::Value { code: 201, value: review })
    }
}

/// The old question after the parts of the control plane: here they are one process, so who answers is healthy.
pub(in super::super) struct ComponentStatuses;

#[async_trait]
impl Virtual for ComponentStatuses {
    fn info(&self) -> &'static KindInfo {
        &COMPONENT_STATUS
    }

    async fn call(&self, asked: &Asked<'_>, _: Body, _: &mut Vec<String>) -> Result<Response, Status> {
        let component = |name: &str| {
            json!({"metadata": {"name": name},
                "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]})
        };
        const NAMES: [&str; 3] = ["controller-manager", "etcd-0", "scheduler"];
        let value = match asked.verb {
            Verb::List => {
                let items: Vec<Value> = NAMES.iter().map(|name| component(name)).collect();
                json!({"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": items})
            }
            Verb::Get if NAMES.contains(&asked.name) => {
                let mut one = component(asked.name);
                one["kind"] = "ComponentStatus".into();
                one["apiVersion"] = "v1".into();
                one
            }
            Verb::Get => return Err(Status::not_found("", "componentstatuses", asked.name)),
            _ => return Err(Status::method_not_allowed("", "", "")),
        };
        Ok(Response::Value { code: 200, value })
    }
}
