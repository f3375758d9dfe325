//! `metadata.managedFields`: who has set which fields.
//! Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/>

use cox_api::managed::{self, Context};
use cox_api::{Form, Part, Status, kinds};
use serde_json::Value;

use super::call::Call;

/// Who writes where the client doesn't say.
const NOBODY: &str = "unknown";

/// The name that a write is recorded under.
fn manager<'c>(call: &'c Call<'_>) -> &'c str {
    match call.options.field_manager.as_deref() {
        None | Some("") => NOBODY,
        Some(name) => name,
    }
}

/// An object of the call's kind in another version of it.
fn convert(call: &Call<'_>, api_version: &str, value: &Value) -> Option<(Form, Value)> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = call.info().kind;
    let other = kinds::by_kind(group, version, kind)
        .or_else(|| call.server.definitions().by_kind(group, version, kind))?;
    // Only versions that are stored alike are versions of one kind.
    let prefix = other.stored_as().unwrap_or(other).info().store_prefix;
    if prefix != call.prefix() {
        return None;
    }
    let stored = match call.kind.stored_as() {
        Some(_) => call.kind.to_stored(value.clone()),
        None => value.clone(),
    };
    let value = if other.stored_as().is_some() { other.from_stored(stored) } else { stored };
    Some((other.form(), value))
}

fn with_context<T>(call: &Call<'_>, part: Part, reset: bool, run: impl FnOnce(&Context<'_>) -> T) -> T {
    let api_version = call.info().api_version();
    let convert = |version: &str, value: &Value| convert(call, version, value);
    run(&Context {
        manager: manager(call),
        force: call.options.force.unwrap_or(false),
        api_version: &api_version,
        subresource: call.subresource,
        now: &call.now,
        unowned: call.kind.unowned(part),
        reset,
        convert: Some(&convert),
    })
}

/// After the defaults of a new object. `reset`: the client asked to forget all owners.
pub(super) fn on_create(call: &Call<'_>, object: &mut Value, reset: bool) {
    let form = call.kind.form();
    with_context(call, Part::Main, reset, |context| managed::track(&form, None, object, context));
}

/// After the defaults of a changed object, before its rules.
pub(super) fn on_update(call: &Call<'_>, part: Part, old: &Value, new: &mut Value, reset: bool) {
    let form = call.kind.form();
    with_context(call, part, reset, |context| managed::track(&form, Some(old), new, context));
}

/// The object that results from applying a configuration.
///
/// # Errors
/// See [`managed::apply`].
pub(super) fn apply(
    call: &Call<'_>,
    part: Part,
    live: Option<&Value>,
    config: &Value,
) -> Result<Value, Status> {
    let form = call.kind.form();
    with_context(call, part, false, |context| managed::apply(&form, live, config, context))
}

/// The context of a write to an object's Scale.
pub(crate) fn with_scale_context<T>(call: &Call<'_>, run: impl FnOnce(&Context<'_>) -> T) -> T {
    run(&Context {
        manager: manager(call),
        force: call.options.force.unwrap_or(false),
        api_version: "autoscaling/v1",
        subresource: call.subresource,
        now: &call.now,
        unowned: cox_api::kind::Unowned::Listed(&[]),
        reset: false,
        convert: None,
    })
}
