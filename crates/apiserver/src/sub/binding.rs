//! Binding a pod to a node.

use async_trait::async_trait;
use cox_api::kinds::without_objects::BINDING;
use cox_api::schema;
use cox_api::{Body, FieldErrors, KindInfo, Part, Path, Reason, Request, Resource, Response, Status, Verb};
use serde_json::{Value, json};

use super::{Asked, Special, Virtual};
use crate::admission::{Attempt, Operation};
use crate::core::body::{self, Expected};
use crate::core::call::{Call, meta, set_meta};
use crate::core::create::settle_namespace;
use crate::core::update::{Changed, Owners, change, check_uid};

fn expected() -> Result<Expected<'static>, Status> {
    let type_id = schema::type_of("", "v1", "Binding")
        .ok_or_else(|| Status::internal("the schema table has no Binding"))?;
    Ok(Expected::of_type("", "v1", "Binding", type_id))
}

/// `pods/NAME/binding`.
pub(super) struct BindingOf;

#[async_trait]
impl Special for BindingOf {
    async fn call(&self, call: &mut Call<'_>, _: Verb, body: Body) -> Result<Response, Status> {
        let strictness = body::strictness(call.options, "CreateOptions")?;
        let decoded = body::decode(body, expected()?, strictness)?;
        call.warnings.extend(decoded.warnings);
        let mut binding = decoded.value;
        settle_namespace(call, &mut binding)?;
        if meta(&binding, "name") != call.name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        check(&binding)?;
        let attempt = Attempt::of(call, Operation::Create, call.name.to_owned(), None);
        call.server.admission().admit_asked(&attempt, &mut binding, &mut call.notes()).await?;
        let node = binding["target"]["name"].as_str().unwrap_or_default().to_owned();
        change(call, Part::Sub("binding"), &mut |call, old| {
            check_uid(call, &binding, old)?;
            let mut pod = bound(call, old, &node)?;
            merge_annotations(&mut pod, &binding);
            set_meta(&mut pod, "resourceVersion", meta(&binding, "resourceVersion"));
            Ok(Changed { object: pod, owners: Owners::Track, remade: true })
        })
        .await?;
        Ok(created())
    }
}

fn created() -> Response {
    let value =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Response::Value { code: 201, value }
}

/// Upstream's checks here end as an error of the server, not of a field.
fn check(binding: &Value) -> Result<(), Status> {
    let mut errors = FieldErrors::new();
    let kind = binding["target"]["kind"].as_str().unwrap_or_default();
    if !kind.is_empty() && kind != "Node" {
        errors.not_supported(&Path::new("target.kind"), &kind.into(), &["Node", "<empty>"]);
    }
    if binding["target"]["name"].as_str().unwrap_or_default().is_empty() {
        errors.required(&Path::new("target.name"), "");
    }
    let mut faults: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
    let message = match faults.len() {
        0 => return Ok(()),
        1 => faults.remove(0),
        _ => format!("[{}]", faults.join(", ")),
    };
    Err(Status::new(500, Reason::Unknown, message))
}

/// The pod on its node.
fn bound(call: &Call<'_>, old: &Value, node: &str) -> Result<Value, Status> {
    let refuse = |why: String| Status::conflict("", "pods/binding", call.name, &why);
    let name = call.name;
    if !old["metadata"]["deletionTimestamp"].is_null() {
        return Err(refuse(format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    let known = old["spec"]["nodeName"].as_str().unwrap_or_default();
    if !known.is_empty() {
        return Err(refuse(format!("pod {name} is already assigned to node {known:?}")));
    }
    if old["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        return Err(refuse(format!("pod {name} has non-empty .spec.schedulingGates")));
    }
    let mut pod = old.clone();
    pod["spec"]["nodeName"] = node.into();
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": call.now});
    set_condition(&mut pod, condition);
    // What the scheduler was hoping for is decided now. KEP-5278.
    if let Some(status) = pod["status"].as_object_mut() {
        status.remove("nominatedNodeName");
    }
    Ok(pod)
}

/// Sets a condition of a pod, in its place where there is one of the type; the time is that of the last change.
pub(super) fn set_condition(pod: &mut Value, mut condition: Value) {
    if !pod["status"]["conditions"].is_array() {
        pod["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = pod["status"]["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|each| each["type"] == condition["type"]) {
        Some(known) => {
            if known["status"] == condition["status"] {
                condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
}

fn merge_annotations(pod: &mut Value, binding: &Value) {
    for part in ["annotations", "labels"] {
        for (key, value) in binding["metadata"][part].as_object().into_iter().flatten() {
            if !pod["metadata"][part].is_object() {
                pod["metadata"][part] = json!({});
            }
            pod["metadata"][part][key] = value.clone();
        }
    }
}

/// The old form: a Binding posted to its own resource.
pub(super) struct Bindings;

#[async_trait]
impl Virtual for Bindings {
    fn info(&self) -> &'static KindInfo {
        &BINDING
    }

    async fn call(
        &self,
        asked: &Asked<'_>,
        body: Body,
        warnings: &mut Vec<String>,
    ) -> Result<Response, Status> {
        if asked.verb != Verb::Create {
            return Err(Status::method_not_allowed("", "", ""));
        }
        let strictness = body::strictness(asked.options, "CreateOptions")?;
        let decoded = body::decode(body, expected()?, strictness)?;
        warnings.extend(decoded.warnings);
        let name = meta(&decoded.value, "name").to_owned();
        if name.is_empty() {
            check(&decoded.value)?;
            return Err(Status::bad_request("Name parameter required."));
        }
        let mut request = Request::new(Verb::Create, Resource::new("", "v1", "pods"))
            .namespace(asked.namespace)
            .name(&name)
            .subresource("binding")
            .body(Body::Json(decoded.value));
        request.options = asked.options.clone();
        let answer = Box::pin(asked.server.call_authorized(asked.user, request)).await?;
        warnings.extend(answer.warnings);
        Ok(answer.response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_bindings_are_told_as_upstream_tells_them() {
        for (target, message) in [
            (json!({"kind": "Node", "name": "n"}), None),
            (json!({"name": "n"}), None),
            (json!({}), Some("target.name: Required value")),
            (
                json!({"kind": "Pod"}),
                Some(
                    "[target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\", target.name: Required value]",
                ),
            ),
        ] {
            let found = check(&json!({"target": target})).err();
            assert_eq!(
                found.as_ref().map(|status| (status.code(), status.message())),
                message.map(|words| (500, words))
            );
        }
    }

    #[test]
    fn conditions_keep_their_place_and_time() {
        let mut pod = json!({"status": {"conditions": [{"type": "A", "status": "True", "lastTransitionTime": 1},
            {"type": "B"}]}});
        set_condition(
            &mut pod,
            json!({"type": "A", "status": "True", "lastTransitionTime": 2, "reason": "R"}),
        );
        set_condition(&mut pod, json!({"type": "C", "status": "True", "lastTransitionTime": 2}));
        assert_eq!(
            pod["status"]["conditions"],
            json!([{"type": "A", "status": "True", "lastTransitionTime": 1, "reason": "R"}, {"type": "B"},
                {"type": "C", "status": "True", "lastTransitionTime": 2}])
        );
        set_condition(&mut pod, json!({"type": "A", "status": "False", "lastTransitionTime": 2}));
        assert_eq!(pod["status"]["conditions"][0]["lastTransitionTime"], 2);
    }
}
