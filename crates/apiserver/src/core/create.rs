//! Making an object.

use cox_api::kind::NameRule;
use cox_api::{Body, Reason, Response, Scope, Status, meta as metadata_rules};
use cox_store::{Expect, Txn};
use serde_json::Value;

use super::body::{self, Expected};
use super::call::{Call, meta, set_meta, unset_meta};
use super::managed;
use crate::admission::{Attempt, Operation, device_access};
use crate::db::WriteError;

/// How often a generated name is drawn anew when it is taken.
const NAME_TRIES: u32 = 8;
/// How often a write is made anew because of what others are given at the same time.
const TRIES_MAX: u32 = 100;
/// Upstream's limit of the part before the generated end.
const GENERATED_BASE_MAX: usize = 58;
const GENERATED_END: usize = 5;

/// Makes an object out of a body.
pub(crate) async fn create(call: &mut Call<'_>, body: Body) -> Result<Response, Status> {
    let strictness = body::strictness(call.options, "CreateOptions")?;
    let reset = body::resets(&body);
    let decoded = body::decode(body, Expected::of(call.kind), strictness)?;
    call.warnings.extend(decoded.warnings);
    create_value(call, decoded.value, reset).await
}

/// Makes an object out of a value of the kind, in normal form. `reset`: the client asked to forget all owners.
pub(crate) async fn create_value(
    call: &mut Call<'_>,
    mut object: Value,
    reset: bool,
) -> Result<Response, Status> {
    if let Some(why) = call.kind.closed() {
        return Err(Status::new(405, Reason::MethodNotAllowed, why));
    }
    settle_namespace(call, &mut object)?;
    call.kind.set_defaults(&mut object);
    call.warnings.extend(metadata_rules::drop_repeated_owners(&mut object));
    if !matches!(meta(&object, "resourceVersion"), "" | "0") {
        // Upstream's storage says so, without a reason.
        return Err(Status::new(
            500,
            Reason::Unknown,
            "resourceVersion should not be set on objects to be created",
        ));
    }
    managed::on_create(call, &mut object, reset);
    create_applied(call, object).await
}

/// The same for an object with its defaults, whose managed fields are set.
pub(crate) async fn create_applied(call: &mut Call<'_>, mut object: Value) -> Result<Response, Status> {
    let given = meta(&object, "name").to_owned();
    unset_meta(&mut object, "resourceVersion");
    let admission = call.server.admission();
    let attempt = Attempt::of(call, Operation::Create, given.clone(), None);
    admission.admit(&attempt, &mut object, &mut call.notes()).await?;
    let generates = given.is_empty() && !meta(&object, "generateName").is_empty();
    // Kept for another try, where the generated name, or what the object is given, turns out to be taken.
    let admitted = (generates || call.server.allocators().concern(call)).then(|| object.clone());

    let mut tries = 0;
    loop {
        tries += 1;
        if let Some(admitted) = &admitted {
            object = admitted.clone();
        }
        if generates {
            let name = generated_name(call, meta(&object, "generateName"));
            set_meta(&mut object, "name", name);
        } else if given.is_empty() && call.kind.names_itself() {
            set_meta(&mut object, "name", call.server.env().chance().uid());
        }
        prepare(call, &mut object);
        let name = meta(&object, "name").to_owned();
        let reservation = call.server.allocators().begin_create(call, &mut object)?;
        let mut errors = device_access::on_create(call, &object);
        errors.0.extend(metadata_rules::check_create(call.kind, &object).0);
        crate::definitions::check(call, &object, None, &mut errors);
        call.refuse_invalid(&name, &object, &errors)?;
        if tries == 1 {
            call.warnings.extend(call.kind.warnings(&object, None));
        }
        let attempt = Attempt::of(call, Operation::Create, name.clone(), None);
        admission.validate(&attempt, Some(&object), &mut call.notes()).await?;
        let charge = crate::admission::quota::charge(call, &attempt, &object).await?;
        call.kind.default_when_read(&mut object);
        if call.options.dry_run {
            return match call.server.db().get_key(&call.key(&name)) {
                Some(_) => Err(already_exists(call, &name)),
                None => {
                    let object = call.unstored(&object, 0);
                    Ok(Response::Object { object, created: true })
                }
            };
        }
        // For another try it is made anew out of what was admitted.
        let stored = call.store(std::mem::take(&mut object));
        let txn = reservation.join(call, &name, Txn::put(call.key(&name), Expect::Absent, stored));
        match call.server.db().commit(txn).await {
            Ok(committed) => {
                reservation.keep();
                charge.keep();
                let object = call.show(committed.object().clone());
                return Ok(Response::Object { object, created: true });
            }
            Err(WriteError::Conflict { .. }) if generates && tries < NAME_TRIES => continue,
            Err(WriteError::Beside) if tries < TRIES_MAX => continue,
            Err(WriteError::Conflict { .. }) => return Err(already_exists(call, &name)),
            Err(error) => return Err(error.into()),
        }
    }
}

fn already_exists(call: &Call<'_>, name: &str) -> Status {
    Status::already_exists(call.info().group, call.info().plural, name)
}

/// The namespace of the path and that of the object are the same.
pub(crate) fn settle_namespace(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    if call.info().scope == Scope::Cluster {
        // There is none, whatever the client says.
        unset_meta(object, "namespace");
        return Ok(());
    }
    let own = meta(object, "namespace");
    if own.is_empty() {
        set_meta(object, "namespace", call.namespace);
    } else if own != call.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// What a new object may not bring, and what it gets.
fn prepare(call: &Call<'_>, object: &mut Value) {
    metadata_rules::prepare_create(object);
    let info = call.info();
    if info.has_status()
        && !call.kind.brings_status()
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("status");
    }
    set_meta(object, "uid", call.server.env().chance().uid());
    set_meta(object, "creationTimestamp", call.now.as_str());
    if call.kind.counts_generations() {
        set_meta(object, "generation", 1);
    }
    call.kind.prepare_create(object, &call.rules());
    call.kind.form().normalize(object);
}

fn generated_name(call: &Call<'_>, base: &str) -> String {
    let mut end = base.len().min(GENERATED_BASE_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    if call.kind.name_rule() == NameRule::Address {
        return base.to_owned();
    }
    format!("{}{}", &base[..end], call.server.env().chance().suffix(GENERATED_END))
}
