//! `metadata.managedFields`: who has set which fields.
//! Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/>

use cox_api::Status;
use serde_json::Value;

use super::call::Call;

/// The name that a write is recorded under.
fn manager<'c>(call: &'c Call<'_>) -> &'c str {
    match call.options.field_manager.as_deref() {
        None | Some("") => "unknown",
        Some(name) => name,
    }
}

/// After the defaults of a new object.
pub(super) fn on_create(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    let _ = (manager(call), object);
    Ok(())
}

/// After the defaults of a changed object, before its rules.
pub(super) fn on_update(call: &Call<'_>, old: &Value, new: &mut Value) -> Result<(), Status> {
    let _ = (call, old, new);
    Ok(())
}

/// What an applied configuration must be.
pub(super) fn check_apply(call: &Call<'_>, patch: &Value) -> Result<(), Status> {
    let _ = (call, patch);
    Ok(())
}

/// The object that results from applying a configuration.
pub(super) fn apply(call: &Call<'_>, live: Option<&Value>, patch: &Value) -> Result<Value, Status> {
    let _ = (call, live, patch);
    Err(Status::internal("server-side apply is not available yet"))
}
