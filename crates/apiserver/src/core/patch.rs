//! Patching an object.

use cox_api::schema::{DecodeError, TypeId};
use cox_api::{Body, FieldErrors, Form, Part, PatchKind, Path, Reason, Response, Status, patch as patches};
use serde_json::Value;

use super::body;
use super::call::Call;
use super::create;
use super::managed;
use super::update::{Changed, Owners, change, recheck};
use super::yaml;

/// Media types that patches come in.
pub const JSON_PATCH: &str = "application/json-patch+json";
/// Merge patches.
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// Strategic merge patches.
pub const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
/// Server-side apply.
pub const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// Takes the body of a PATCH apart.
///
/// # Errors
/// 400 for bytes that are no patch, 415 for another media type, 422 for options that don't fit the sort of patch.
pub(crate) fn decode(call: &mut Call<'_>, body: Body) -> Result<(PatchKind, Value), Status> {
    let (media_type, bytes) = match body {
        Body::Patch(kind, value) => {
            check_options(call, kind)?;
            return Ok((kind, value));
        }
        Body::Raw { media_type, bytes } => (media_type, bytes),
        Body::None | Body::Json(_) => return Err(not_a_patch()),
    };
    let patch = match body::essence(&media_type) {
        JSON_PATCH => PatchKind::Json,
        MERGE_PATCH => PatchKind::Merge,
        STRATEGIC_PATCH => PatchKind::Strategic,
        APPLY_PATCH => PatchKind::Apply,
        _ => return Err(not_a_patch()),
    };
    // The parameters are looked at before the patch is.
    check_options(call, patch)?;
    let value = if patch == PatchKind::Apply {
        let value = decode_applied(call, &bytes)?;
        if !(value.is_object() || value.is_null()) {
            let form = match value {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            return Err(Status::bad_request(format!(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {form} into Go value of type map[string]interface {{}}"
            )));
        }
        value
    } else {
        // Upstream looks for the object before it reads the patch.
        if bytes.is_empty() && call.server.db().get_key(&call.key(call.name)).is_none() {
            return Err(call.not_found(call.name));
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            Status::bad_request(format!("error decoding patch: {}", go_json_error(&bytes, &error)))
        })?
    };
    Ok((patch, value))
}

/// An applied configuration; keys that stand twice are told.
fn decode_applied(call: &mut Call<'_>, bytes: &[u8]) -> Result<Value, Status> {
    let read = yaml::parse(bytes).map_err(|why| {
        Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: yaml: {why}"))
    })?;
    match call.options.field_validation.as_deref() {
        Some("Ignore") => {}
        Some("Strict") if !read.repeated.is_empty() => {
            return Err(Status::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  {}",
                read.repeated.join("\n  ")
            )));
        }
        _ => call.warnings.extend(read.repeated),
    }
    Ok(read.value)
}

/// 415, in the router's words.
fn not_a_patch() -> Status {
    Status::new(415, Reason::UnsupportedMediaType, "415: Unsupported Media Type")
        .with_details(serde_json::json!({}))
}

/// What Go's decoder says of bytes that aren't JSON.
fn go_json_error(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let column = error.column().saturating_sub(1);
    let shown = bytes.get(column).map_or(' ', |&byte| char::from(byte));
    format!("invalid character '{shown}' looking for beginning of value")
}

/// Patches the object of a call.
pub(crate) async fn patch(call: &mut Call<'_>, part: Part, body: Body) -> Result<Response, Status> {
    let (kind, patch) = decode(call, body)?;
    let strictness = body::strictness(call.options, "PatchOptions")?;
    if kind == PatchKind::Strategic {
        table(&call.kind.form())?;
    }
    if kind == PatchKind::Apply {
        return apply(call, part, patch).await;
    }
    let form = call.kind.form();
    change(call, part, &mut |call, old| {
        let patched = match kind {
            PatchKind::Json => patches::json(old, &patch)?,
            PatchKind::Merge => patches::merge(old, &patch)?,
            PatchKind::Strategic => patches::strategic(table(&form)?, old, &patch)?,
            PatchKind::Apply => unreachable!("apply has its own way"),
        };
        if kind == PatchKind::Strategic
            && let Some(misfit) = patches::misfit(table(&form)?, &patch, &patched)
        {
            return Err(misfit);
        }
        let owners = Owners::of(cox_api::managed::resets(&patched));
        if kind == PatchKind::Strategic {
            if let Err(error @ DecodeError::Strict(_)) = form.check(patched.clone(), strictness) {
                return Err(patches::unfit_strategic(&patch, &error.to_string()));
            }
        } else if let Some(words) = body::misfit(call.kind, &patched, strictness) {
            return Err(patches::unfit(&form, &patch, &patched, &words));
        }
        let object = recheck(call, patched, strictness)?;
        Ok(Changed { object, owners, remade: !names_version(&patch) })
    })
    .await
}

/// The type that a strategic merge patch goes by; custom resources have none.
fn table(form: &Form) -> Result<TypeId, Status> {
    match form {
        Form::Table(of) => Ok(*of),
        Form::Custom(_) => {
            Err(body::unsupported_media_type(&format!("{JSON_PATCH}, {MERGE_PATCH}, {APPLY_PATCH}")))
        }
    }
}

/// Whether a patch says which version it is for.
fn names_version(patch: &Value) -> bool {
    patch["metadata"]["resourceVersion"].as_str().is_some_and(|version| !matches!(version, "" | "0"))
}

/// Checks the options of a patch.
fn check_options(call: &Call<'_>, kind: PatchKind) -> Result<(), Status> {
    let options = call.options;
    let mut errors = FieldErrors::new();
    if kind == PatchKind::Apply {
        if options.field_manager.as_deref().unwrap_or_default().is_empty() {
            errors.required(&Path::new("fieldManager"), "is required for apply patch");
        }
    } else if options.force.is_some() {
        errors.forbidden(&Path::new("force"), "may not be specified for non-apply patch");
    }
    body::strictness_after(errors, options, "PatchOptions").map(drop)
}

/// An applied configuration says which kind it is of.
fn check_type(call: &Call<'_>, patch: &Value) -> Result<(), Status> {
    let info = call.info();
    let api_version = patch["apiVersion"].as_str().unwrap_or_default();
    let kind = patch["kind"].as_str().unwrap_or_default();
    if api_version == info.api_version() && kind == info.kind {
        return Ok(());
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Err(Status::bad_request(format!("invalid object type: {group}/{version}, Kind={kind}")))
}

/// Server-side apply: makes the object where it isn't there.
async fn apply(call: &mut Call<'_>, part: Part, patch: Value) -> Result<Response, Status> {
    check_type(call, &patch)?;
    loop {
        if call.server.db().get_key(&call.key(call.name)).is_none() {
            if part != Part::Main {
                return Err(call.not_found(call.name));
            }
            let object = managed::apply(call, part, None, &patch)?;
            let object = recheck(call, object, cox_api::schema::Strictness::Ignore)?;
            match create::create_applied(call, object).await {
                Err(status) if status.is_already_exists() => continue,
                other => return other,
            }
        }
        let changed = change(call, part, &mut |call, old| {
            let object = managed::apply(call, part, Some(old), &patch)?;
            let object = recheck(call, object, cox_api::schema::Strictness::Ignore)?;
            Ok(Changed { object, owners: Owners::Settled, remade: !names_version(&patch) })
        })
        .await;
        match changed {
            Err(status) if status.is_not_found() && part == Part::Main => continue,
            other => return other,
        }
    }
}
