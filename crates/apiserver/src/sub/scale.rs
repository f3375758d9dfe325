//! The scale subresource: how many replicas, whatever the kind.

use async_trait::async_trait;
use cox_api::schema;
use cox_api::selector::LabelSelector;
use cox_api::{Body, FieldErrors, Kind, Part, PatchKind, Path, Response, Status, Verb, patch as patches};
use serde_json::{Value, json};

use super::Special;
use crate::core::body::{self, Expected};
use crate::core::call::{Call, meta, set_meta};
use crate::core::update::{Changed, Owners, change, check_identity, check_uid};
use crate::core::{managed, patch};

pub(super) struct ScaleOf;

#[async_trait]
impl Special for ScaleOf {
    async fn call(&self, call: &mut Call<'_>, verb: Verb, body: Body) -> Result<Response, Status> {
        match verb {
            Verb::Get => {
                let key = call.key(call.name);
                let object = call.server.db().get_key(&key).ok_or_else(|| call.not_found(call.name))?;
                Ok(Response::Value { code: 200, value: scale_of(call.kind, &call.read(&object)) })
            }
            Verb::Update => {
                let strictness = body::strictness(call.options, "UpdateOptions")?;
                let decoded = body::decode(body, expected()?, strictness)?;
                call.warnings.extend(decoded.warnings);
                let mut scale = decoded.value;
                check_identity(call, &mut scale)?;
                write(call, &mut |_, _| Ok((scale.clone(), false))).await
            }
            Verb::Patch => {
                let (kind, patch) = patch::decode(call, body)?;
                let strictness = body::strictness(call.options, "PatchOptions")?;
                let type_id = expected()?.type_id;
                let mut told = false;
                write(call, &mut |call, old| {
                    let now = scale_of(call.kind, old);
                    let patched = match kind {
                        PatchKind::Json => patches::json(&now, &patch)?,
                        PatchKind::Merge => patches::merge(&now, &patch)?,
                        PatchKind::Strategic => patches::strategic(type_id, &now, &patch)?,
                        PatchKind::Apply => {
                            let live = with_owners(call, now, old);
                            let applied = managed::with_scale_context(call, |context| {
                                cox_api::managed::apply(type_id, Some(&live), &patch, context)
                            })?;
                            return Ok((applied, true));
                        }
                    };
                    let decoded = body::decode(Body::Json(patched), expected()?, strictness)?;
                    // A patch may be made again on a newer object: its faults are told once.
                    if !std::mem::replace(&mut told, true) {
                        call.warnings.extend(decoded.warnings);
                    }
                    Ok((decoded.value, false))
                })
                .await
            }
            _ => Err(Status::method_not_allowed("", "", "")),
        }
    }
}

fn expected() -> Result<Expected<'static>, Status> {
    let type_id = schema::type_of("autoscaling", "v1", "Scale")
        .ok_or_else(|| Status::internal("the schema table has no Scale"))?;
    Ok(Expected { group: "autoscaling", version: "v1", kind: "Scale", type_id })
}

/// Makes the new Scale, and says whether its managed fields are up to date already.
type Make<'m> = dyn FnMut(&mut Call<'_>, &Value) -> Result<(Value, bool), Status> + Send + 'm;

async fn write(call: &mut Call<'_>, make: &mut Make<'_>) -> Result<Response, Status> {
    let response = change(call, Part::Main, &mut |call, old| {
        let (mut scale, settled) = make(call, old)?;
        let name = meta(&scale, "name");
        if !name.is_empty() && name != call.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                call.name
            )));
        }
        let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
        if replicas < 0 {
            let mut errors = FieldErrors::new();
            let detail = "must be greater than or equal to 0";
            errors.invalid(&Path::new("spec.replicas"), &replicas.into(), detail);
            return Err(Status::invalid("autoscaling", "Scale", call.name, &errors.0));
        }
        check_uid(call, &scale, old)?;
        let mut object = old.clone();
        object["spec"]["replicas"] = replicas.into();
        set_meta(&mut object, "resourceVersion", meta(&scale, "resourceVersion"));
        if !settled {
            let before = with_owners(call, scale_of(call.kind, old), old);
            let type_id = expected()?.type_id;
            scale["metadata"]["managedFields"] = before["metadata"]["managedFields"].clone();
            managed::with_scale_context(call, |context| {
                cox_api::managed::track(type_id, Some(&before), &mut scale, context);
            });
        }
        let version = call.info().api_version();
        cox_api::managed::scale::from_scale(&mut object, &scale, &version, &[&version]);
        Ok(Changed { object, owners: Owners::Settled, remade: false })
    })
    .await?;
    let Response::Object { object, .. } = response else { return Ok(response) };
    Ok(Response::Value { code: 200, value: scale_of(call.kind, &object.value()) })
}

/// A Scale with the owners of its replicas.
fn with_owners(call: &Call<'_>, mut scale: Value, object: &Value) -> Value {
    let version = call.info().api_version();
    cox_api::managed::scale::to_scale(object, &mut scale, &[&version]);
    scale
}

/// The scale of an object.
/// An object as a Scale.
pub(crate) fn scale_of(kind: &dyn Kind, object: &Value) -> Value {
    let metadata: serde_json::Map<String, Value> =
        ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]
            .into_iter()
            .filter_map(|key| {
                let value = object["metadata"].get(key)?;
                (value != "").then(|| (key.to_owned(), value.clone()))
            })
            .collect();
    let mut spec = json!({});
    let replicas = object["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas != 0 {
        spec["replicas"] = replicas.into();
    }
    let mut status = json!({"replicas": object["status"]["replicas"].as_i64().unwrap_or(0)});
    let selector = kind.scale().and_then(|paths| {
        let selector = object.pointer(paths.selector)?;
        let selector = if paths.selector_is_map {
            LabelSelector::of_map(selector)
        } else {
            LabelSelector::of_object(selector).ok()?
        };
        Some(selector.to_string()).filter(|text| !text.is_empty())
    });
    if let Some(selector) = selector {
        status["selector"] = selector.into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}
