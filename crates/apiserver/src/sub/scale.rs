//! The scale subresource: how many replicas, whatever the kind.

use async_trait::async_trait;
use cox_api::kind::ScalePaths;
use cox_api::schema::{self, TypeId};
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
                Ok(Response::Value { code: 200, value: scale_of(call.kind, &call.read(&object))? })
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
                let form = expected()?.form;
                let mut told = false;
                write(call, &mut |call, old| {
                    let now = scale_of(call.kind, old)?;
                    let patched = match kind {
                        PatchKind::Json => patches::json(&now, &patch)?,
                        PatchKind::Merge => patches::merge(&now, &patch)?,
                        PatchKind::Strategic => patches::strategic(type_id()?, &now, &patch)?,
                        PatchKind::Apply => {
                            let live = with_owners(call, now, old);
                            let applied = managed::with_scale_context(call, |context| {
                                cox_api::managed::apply(&form, Some(&live), &patch, context)
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

fn type_id() -> Result<TypeId, Status> {
    schema::type_of("autoscaling", "v1", "Scale")
        .ok_or_else(|| Status::internal("the schema table has no Scale"))
}

fn expected() -> Result<Expected<'static>, Status> {
    Ok(Expected::of_type("autoscaling", "v1", "Scale", type_id()?))
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
        let fields = match call.kind.scale() {
            Some(ScalePaths::Fields(fields)) => Some(fields),
            _ => None,
        };
        // Where a definition says where they stand, they are checked with the object.
        if replicas < 0 && fields.is_none() {
            let mut errors = FieldErrors::new();
            let detail = "must be greater than or equal to 0";
            errors.invalid(&Path::new("spec.replicas"), &replicas.into(), detail);
            return Err(Status::invalid("autoscaling", "Scale", call.name, &errors.0));
        }
        check_uid(call, &scale, old)?;
        let mut object = old.clone();
        match fields {
            None => object["spec"]["replicas"] = replicas.into(),
            Some(fields) => {
                fields.spec.set(&mut object, replicas.into());
            }
        }
        set_meta(&mut object, "resourceVersion", meta(&scale, "resourceVersion"));
        if !settled {
            let before = with_owners(call, scale_of(call.kind, old)?, old);
            let form = expected()?.form;
            scale["metadata"]["managedFields"] = before["metadata"]["managedFields"].clone();
            managed::with_scale_context(call, |context| {
                cox_api::managed::track(&form, Some(&before), &mut scale, context);
            });
        }
        let version = call.info().api_version();
        cox_api::managed::scale::from_scale(&mut object, &scale, &version, &[&version]);
        Ok(Changed { object, owners: Owners::Settled, remade: false })
    })
    .await?;
    let Response::Object { object, .. } = response else { return Ok(response) };
    Ok(Response::Value { code: 200, value: scale_of(call.kind, &call.read(&object))? })
}

/// A Scale with the owners of its replicas.
fn with_owners(call: &Call<'_>, mut scale: Value, object: &Value) -> Value {
    let version = call.info().api_version();
    cox_api::managed::scale::to_scale(object, &mut scale, &[&version]);
    scale
}

/// An object as a Scale.
///
/// # Errors
/// 500 where an object has no replicas at the place that its definition names.
pub(crate) fn scale_of(kind: &dyn Kind, object: &Value) -> Result<Value, Status> {
    let metadata: serde_json::Map<String, Value> =
        ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]
            .into_iter()
            .filter_map(|key| {
                let value = object["metadata"].get(key)?;
                (value != "").then(|| (key.to_owned(), value.clone()))
            })
            .collect();
    let number = |value: Option<&Value>| value.and_then(Value::as_i64);
    let (replicas, there, selector) = match kind.scale() {
        Some(ScalePaths::Fields(fields)) => {
            let missing = || {
                let path = fields.spec.steps().join(".");
                Status::internal(format!("the spec replicas field \".{path}\" does not exist"))
            };
            let selector =
                fields.selector.as_ref().and_then(|path| path.get(object)?.as_str().map(str::to_owned));
            (
                number(fields.spec.get(object)).ok_or_else(missing)?,
                number(fields.status.get(object)),
                selector,
            )
        }
        Some(ScalePaths::Workload { selector, selector_is_map }) => {
            let selector = object.pointer(selector).and_then(|selector| {
                let selector = if selector_is_map {
                    LabelSelector::of_map(selector)
                } else {
                    LabelSelector::of_object(selector).ok()?
                };
                Some(selector.to_string())
            });
            let of = |part: &str| object[part]["replicas"].as_i64();
            (of("spec").unwrap_or(0), of("status"), selector)
        }
        None => return Err(Status::no_such_path()),
    };
    let mut spec = json!({});
    if replicas != 0 {
        spec["replicas"] = replicas.into();
    }
    let mut status = json!({"replicas": there.unwrap_or(0)});
    if let Some(selector) = selector.filter(|text| !text.is_empty()) {
        status["selector"] = selector.into();
    }
    Ok(
        json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}),
    )
}
