//! May somebody do something?

use std::collections::BTreeMap;

use async_trait::async_trait;
use cox_api::kinds::without_objects::{
    LOCAL_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_ACCESS_REVIEW, SUBJECT_ACCESS_REVIEW,
};
use cox_api::meta::names;
use cox_api::{Body, FieldErrors, KindInfo, Path, Response, Status};
use serde_json::{Value, json};

use super::super::{Asked, Virtual};
use super::decode;
use crate::auth::{Attributes, User};
use crate::core::call::{meta, set_meta, unset_meta};

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
        settle_namespace(&mut review, if self.0 == Who::Local { asked.namespace } else { "" })?;
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

/// The namespace of the object is that of the request; what has none there has none here.
fn settle_namespace(review: &mut Value, namespace: &str) -> Result<(), Status> {
    let own = meta(review, "namespace");
    if namespace.is_empty() {
        unset_meta(review, "namespace");
    } else if own.is_empty() {
        set_meta(review, "namespace", namespace);
    } else if own != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

fn check(review: &Value, who: Who, namespace: &str) -> Result<(), Status> {
    let errors = faults(review, who, namespace);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid(SUBJECT_ACCESS_REVIEW.group, "", "", &errors.0))
    }
}

/// What is wrong with a review. Source: `pkg/apis/authorization/validation` of Kubernetes.
fn faults(review: &Value, who: Who, namespace: &str) -> FieldErrors {
    let spec = &review["spec"];
    let mut errors = FieldErrors::new();
    let at = Path::new("spec");
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let text = |key: &str| path[key].as_str().unwrap_or_default();
    let shown = format!("{{\"Path\":{:?},\"Verb\":{:?}}}", text("path"), text("verb"));
    match (resource.is_object(), path.is_object()) {
        (true, true) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            errors.invalid_shown(&at.child("nonResourceAttributes"), shown.as_str(), detail);
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
    let place = at.child("resourceAttributes");
    selector(resource, &place.child("fieldSelector"), "fieldSelector", &mut errors);
    selector(resource, &place.child("labelSelector"), "labelSelector", &mut errors);
    bare(review, who, &mut errors);
    if who == Who::Local {
        let asked = resource["namespace"].as_str().unwrap_or_default();
        if resource.is_object() && asked != namespace {
            errors.invalid(&place.child("namespace"), &asked.into(), "must match metadata.namespace");
        }
        if path.is_object() {
            let detail = "disallowed on this kind of request";
            errors.invalid_shown(&at.child("nonResourceAttributes"), shown, detail);
        }
    }
    errors
}

/// Reviews have no metadata of their own.
fn bare(review: &Value, who: Who, errors: &mut FieldErrors) {
    let ours = if who == Who::Local { "namespace" } else { "managedFields" };
    let metadata = review["metadata"].as_object();
    let nothing = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let more = |(key, value): (&String, &Value)| key != "managedFields" && key != ours && !nothing(value);
    if metadata.into_iter().flatten().any(more) {
        let detail = if who == Who::Local { "must be empty except for namespace" } else { "must be empty" };
        errors.invalid(&Path::new("metadata"), &review["metadata"], detail);
    }
}

/// A selector of attributes is a text or requirements.
fn selector(resource: &Value, path: &Path<'_>, key: &str, errors: &mut FieldErrors) {
    let Some(selector) = resource.get(key).filter(|selector| selector.is_object()) else { return };
    let raw = selector["rawSelector"].as_str().unwrap_or_default();
    let requirements = selector["requirements"].as_array().map_or(&[][..], Vec::as_slice);
    if !raw.is_empty() && !requirements.is_empty() {
        let detail = "may not specified at the same time as requirements";
        errors.invalid(&path.child("rawSelector"), &raw.into(), detail);
    }
    if raw.is_empty() && requirements.is_empty() {
        let detail = format!("when {path} is specified, requirements or rawSelector is required");
        errors.required(&path.child("requirements"), detail);
    }
    let place = path.child("requirements");
    for (at, requirement) in requirements.iter().enumerate() {
        let path = place.index(at);
        let name = requirement["key"].as_str().unwrap_or_default();
        let no_values = requirement["values"].as_array().is_none_or(Vec::is_empty);
        if key == "fieldSelector" && name.is_empty() {
            errors.required(&path.child("key"), "must be specified");
        }
        match requirement["operator"].as_str() {
            Some("In" | "NotIn") if no_values => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.required(&path.child("values"), detail);
            }
            Some("Exists" | "DoesNotExist") if !no_values => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(&path.child("values"), detail);
            }
            // Newer clients may know operators that this server doesn't.
            _ => {}
        }
        if key == "labelSelector" {
            for message in names::qualified_name(name) {
                errors.invalid(&path.child("key"), &name.into(), message);
            }
            let values = requirement["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for (at, value) in values.enumerate() {
                let path = path.child("values");
                for message in names::label_value(value) {
                    errors.invalid(&path.index(at), &value.into(), message);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(review: &Value, who: Who) -> Vec<String> {
        faults(review, who, "n").0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reviews_ask_one_thing_of_somebody() {
        let about = |spec: Value| json!({"spec": spec});
        let (resource, path) = (json!({"verb": "get"}), json!({"path": "/x", "verb": "get"}));
        for (review, who, expected) in [
            (
                about(json!({})),
                Who::Any,
                vec![
                    "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
                    "spec.user: Invalid value: \"\": at least one of user or group must be specified",
                ],
            ),
            (about(json!({"resourceAttributes": resource})), Who::Own, vec![]),
            (
                json!({"metadata": {"name": "x"}, "spec": {"user": "u", "resourceAttributes": resource}}),
                Who::Any,
                vec!["metadata: Invalid value: {\"name\":\"x\"}: must be empty"],
            ),
            (
                json!({"metadata": {"namespace": "n"}, "spec": {"user": "u", "nonResourceAttributes": path}}),
                Who::Local,
                vec![
                    "spec.nonResourceAttributes: Invalid value: {\"Path\":\"/x\",\"Verb\":\"get\"}: disallowed on this kind of request",
                ],
            ),
            (
                json!({"metadata": {"namespace": "n"}, "spec": {"user": "u", "resourceAttributes": {"namespace": "m"}}}),
                Who::Local,
                vec![
                    "spec.resourceAttributes.namespace: Invalid value: \"m\": must match metadata.namespace",
                ],
            ),
            (
                about(json!({"resourceAttributes": {"verb": "get", "fieldSelector": {}, "labelSelector":
                    {"rawSelector": "a", "requirements": [{"key": "a b", "operator": "In"}]}}})),
                Who::Own,
                vec![
                    "spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required",
                    "spec.resourceAttributes.labelSelector.rawSelector: Invalid value: \"a\": may not specified at the same time as requirements",
                    "spec.resourceAttributes.labelSelector.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                    "spec.resourceAttributes.labelSelector.requirements[0].key: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                ],
            ),
        ] {
            assert_eq!(texts(&review, who), expected, "{review}");
        }
    }
}
