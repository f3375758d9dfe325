//! May somebody do something?

use std::collections::BTreeMap;

use async_trait::async_trait;
use cox_api::kinds::without_objects::{
    LOCAL_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_ACCESS_REVIEW, SUBJECT_ACCESS_REVIEW,
};
use cox_api::{Body, FieldErrors, KindInfo, Path, Response, Status};
use serde_json::{Value, json};

use super::super::{Asked, Virtual};
use super::decode;
use crate::auth::{Attributes, User};

/// Whose rights are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Who {
    /// Anybody's.
    Any,
    /// Anybody's, in one namespace.
    Local,
    /// One's own.
    Own,
}

pub(in super::super) struct AccessReviews(pub(in super::super) Who);

#[async_trait]
impl Virtual for AccessReviews {
    fn info(&self) -> &'static KindInfo {
        match self.0 {
            Who::Any => &SUBJECT_ACCESS_REVIEW,
            Who::Local => &LOCAL_SUBJECT_ACCESS_REVIEW,
            Who::Own => &SELF_SUBJECT_ACCESS_REVIEW,
        }
    }

    async fn call(
        &self,
        asked: &Asked<'_>,
        body: Body,
        warnings: &mut Vec<String>,
    ) -> Result<Response, Status> {
        let mut review = decode(self.info(), asked, body, warnings)?;
        if self.0 == Who::Local {
            review["metadata"]["namespace"] = asked.namespace.into();
        }
        check(&review, self.0, asked.namespace)?;
        let spec = &review["spec"];
        let user = if self.0 == Who::Own { asked.user.clone() } else { subject(spec) };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
        let mut errors: Vec<String> = Vec::new();
        let field_selector = field_selector(resource);
        for (key, words) in [("fieldSelector", "field"), ("labelSelector", "label")] {
            let raw = resource[key]["rawSelector"].as_str().unwrap_or_default();
            let bad = match key {
                "labelSelector" => raw.parse::<cox_api::selector::LabelSelector>().is_err(),
                _ => raw.parse::<cox_api::selector::FieldSelector>().is_err(),
            };
            if bad {
                errors.push(format!("spec.resourceAttributes.{words}Selector ignored due to parse error"));
            }
        }
        let parts =
            ["verb", "group", "resource", "subresource", "namespace", "name"].map(|key| text(&resource[key]));
        let (path_verb, path) = (text(&path["verb"]), text(&path["path"]));
        let attributes = if resource.is_object() {
            let [verb, group, resource, subresource, namespace, name] = &parts;
            Attributes {
                subresource,
                namespace,
                name,
                field_selector: &field_selector,
                ..Attributes::resource(&user, verb, group, resource)
            }
        } else {
            Attributes::path(&user, &path_verb, &path)
        };
        let decision = asked.server.authorizer().decide(&attributes);
        let mut status = json!({"allowed": decision.allowed});
        if !decision.reason.is_empty() {
            status["reason"] = decision.reason.into();
        }
        if !errors.is_empty() {
            status["evaluationError"] = errors.join(", ").into();
        }
        review["status"] = status;
        Ok(Response::Value { code: 201, value: review })
    }
}

/// The requirements of a field selector as one text.
fn field_selector(resource: &Value) -> String {
    let raw = resource["fieldSelector"]["rawSelector"].as_str().unwrap_or_default();
    if !raw.is_empty() {
        return raw.to_owned();
    }
    let requirements = resource["fieldSelector"]["requirements"].as_array().into_iter().flatten();
    let parts: Vec<String> = requirements
        .filter(|one| one["operator"] == "In")
        .filter_map(|one| match one["values"].as_array()?.as_slice() {
            [value] => Some(format!("{}={}", one["key"].as_str()?, value.as_str()?)),
            _ => None,
        })
        .collect();
    parts.join(",")
}

fn subject(spec: &Value) -> User {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let extra: BTreeMap<String, Vec<String>> = spec["extra"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, values)| (key.to_lowercase(), texts(values)))
        .collect();
    User {
        name: spec["user"].as_str().unwrap_or_default().to_owned(),
        uid: spec["uid"].as_str().unwrap_or_default().to_owned(),
        groups: texts(&spec["groups"]),
        extra,
    }
}

fn check(review: &Value, who: Who, namespace: &str) -> Result<(), Status> {
    let spec = &review["spec"];
    let mut errors = FieldErrors::new();
    let at = Path::new("spec");
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    match (resource.is_object(), path.is_object()) {
        (true, true) => {
            let text = |key: &str| path[key].as_str().unwrap_or_default();
            let shown = format!("{{\"Path\":{:?},\"Verb\":{:?}}}", text("path"), text("verb"));
            let detail = "cannot be specified in combination with resourceAttributes";
            errors.invalid_shown(&at.child("nonResourceAttributes"), shown, detail);
        }
        (false, false) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.invalid(&at.child("resourceAttributes"), &Value::Null, detail);
        }
        _ => {}
    }
    if who != Who::Own
        && spec["user"].as_str().unwrap_or_default().is_empty()
        && spec["groups"].as_array().is_none_or(Vec::is_empty)
    {
        let detail = "at least one of user or group must be specified";
        errors.invalid(&at.child("user"), &"".into(), detail);
    }
    if who == Who::Local && errors.is_empty() {
        if path.is_object() {
            let detail = "disallowed on this kind of request";
            errors.invalid(&at.child("nonResourceAttributes"), path, detail);
        } else if resource["namespace"].as_str().unwrap_or_default() != namespace {
            let detail = "must match metadata.namespace";
            errors.invalid(&at.child("resourceAttributes.namespace"), &resource["namespace"], detail);
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid(SUBJECT_ACCESS_REVIEW.group, "", "", &errors.0))
    }
}
