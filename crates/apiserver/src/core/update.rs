//! Changing an object: PUT, PATCH and the subresources that write all go this way.

use cox_api::schema::Strictness;
use cox_api::{
    Body, FieldErrors, Object, Part, Response, Scope, Status, kind::Deletion, meta as metadata_rules,
};
use cox_store::{Expect, Txn};
use serde_json::Value;

use super::body::{self, Expected};
use super::call::{Call, finalizers, meta, set_meta, unset_meta};
use super::{create, facts, managed};
use crate::admission::{Attempt, Operation, device_access};
use crate::db::WriteError;

/// How often a write that doesn't insist on a version is tried anew on the newest one.
const TRIES_MAX: u32 = 100;

const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// What to make of the object as it is now: the new object, in normal form with defaults, and how managed fields
/// are kept.
pub(crate) type Change<'c> = dyn FnMut(&mut Call<'_>, &Value) -> Result<Changed, Status> + Send + 'c;

/// The new object.
pub(crate) struct Changed {
    pub object: Value,
    /// What becomes of managed fields.
    pub owners: Owners,
    /// Whether the object is made anew from what is there when another write comes between, though it carries the
    /// version it was made from (patches that name no version).
    pub remade: bool,
}

/// What becomes of managed fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// What changes becomes the writer's.
    Track,
    /// The same, after all owners were forgotten.
    Reset,
    /// They are up to date already.
    Settled,
}

impl Owners {
    /// Of a body that may ask to forget all owners.
    pub fn of(reset: bool) -> Owners {
        if reset { Owners::Reset } else { Owners::Track }
    }
}

/// Replaces an object by a body.
pub(crate) async fn put(call: &mut Call<'_>, part: Part, body: Body) -> Result<Response, Status> {
    let strictness = body::strictness(call.options, "UpdateOptions")?;
    let reset = body::resets(&body);
    let decoded = body::decode(body, Expected::of(call.kind), strictness)?;
    call.warnings.extend(decoded.warnings);
    put_value(call, part, decoded.value, reset).await
}

/// Replaces an object by a value of the kind.
pub(crate) async fn put_value(
    call: &mut Call<'_>,
    part: Part,
    mut object: Value,
    reset: bool,
) -> Result<Response, Status> {
    let owners = Owners::of(reset);
    check_identity(call, &mut object)?;
    call.kind.set_defaults(&mut object);
    let creates = match part {
        Part::Main => call.kind.allows_create_on_update(),
        Part::Status => facts::status_makes(call.info()),
        Part::Sub(_) => false,
    };
    if creates && call.server.db().get_key(&call.key(call.name)).is_none() {
        // Upstream ignores the version of an object that isn't there, but not its uid.
        let uid = meta(&object, "uid");
        if !uid.is_empty() {
            return Err(call.uid_conflict(uid, ""));
        }
        set_meta(&mut object, "resourceVersion", "");
        return match create::create_value(call, object.clone(), reset).await {
            Err(status) if status.is_already_exists() => replace(call, part, object, owners).await,
            other => other,
        };
    }
    replace(call, part, object, owners).await
}

async fn replace(call: &mut Call<'_>, part: Part, object: Value, owners: Owners) -> Result<Response, Status> {
    change(call, part, &mut |call, old| {
        check_uid(call, &object, old)?;
        Ok(Changed { object: object.clone(), owners, remade: false })
    })
    .await
}

/// A writer that names a uid means that object and no other of its name.
pub(crate) fn check_uid(call: &Call<'_>, new: &Value, old: &Value) -> Result<(), Status> {
    let uid = meta(new, "uid");
    if uid.is_empty() || uid == meta(old, "uid") {
        return Ok(());
    }
    Err(call.uid_conflict(uid, meta(old, "uid")))
}

/// The names of path and object are the same.
pub(crate) fn check_identity(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    let own = meta(object, "name").to_owned();
    if own.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            call.name
        )));
    }
    if own != call.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({own}) does not match the name on the URL ({})",
            call.name
        )));
    }
    if call.info().scope == Scope::Namespaced {
        let own = meta(object, "namespace").to_owned();
        if own.is_empty() {
            set_meta(object, "namespace", call.namespace);
        } else if own != call.namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    }
    Ok(())
}

/// Changes an object, on its newest version until no other write comes between.
pub(crate) async fn change(
    call: &mut Call<'_>,
    part: Part,
    make: &mut Change<'_>,
) -> Result<Response, Status> {
    let (warnings, annotations) = (call.warnings.len(), call.annotations.len());
    for _ in 0..TRIES_MAX {
        call.warnings.truncate(warnings);
        call.annotations.truncate(annotations);
        let key = call.key(call.name);
        let current = call.server.db().get_key(&key).ok_or_else(|| call.not_found(call.name))?;
        let old = call.read(&current);
        let changed = make(call, &old)?;
        match attempt(call, part, &current, &old, changed).await? {
            Some(response) => return Ok(response),
            None => continue,
        }
    }
    Err(call.conflict(call.name, MODIFIED))
}

/// One try; none where another write came between.
async fn attempt(
    call: &mut Call<'_>,
    part: Part,
    current: &Object,
    old: &Value,
    changed: Changed,
) -> Result<Option<Response>, Status> {
    let mut new = changed.object;
    call.warnings.extend(metadata_rules::drop_repeated_owners(&mut new));
    let admission = call.server.admission();
    let remade = changed.remade;
    match changed.owners {
        Owners::Settled => {}
        owners => managed::on_update(call, part, old, &mut new, owners == Owners::Reset),
    }
    let seen = Attempt::of(call, Operation::Update, call.name.to_owned(), Some(old));
    admission.admit(&seen, &mut new, &mut call.notes()).await?;

    let version = meta(&new, "resourceVersion").to_owned();
    let named = !matches!(version.as_str(), "" | "0");
    // A patch that doesn't name a version is made anew on what another write has left.
    let insists = named && !remade;
    if named {
        let parsed: Option<u64> = version.parse().ok();
        match parsed {
            Some(revision) if revision == current.revision() => {}
            Some(_) => return Err(call.conflict(call.name, MODIFIED)),
            None => {
                return Err(Status::new(
                    500,
                    cox_api::Reason::Unknown,
                    format!("strconv.ParseUint: parsing {version:?}: invalid syntax"),
                ));
            }
        }
    } else if !call.kind.allows_unconditional_update() && call.subresource != "scale" {
        let mut errors = FieldErrors::new();
        errors.invalid_shown(
            &cox_api::Path::new("metadata").child("resourceVersion"),
            "0",
            "must be specified for an update",
        );
        let info = call.info();
        return Err(Status::invalid(info.group, info.plural, call.name, &errors.0));
    }
    set_meta(&mut new, "resourceVersion", current.revision().to_string());
    prepare(call, part, &mut new, old);
    let reservation = call.server.allocators().begin_update(call, part, &mut new, old)?;

    let mut errors = device_access::on_status(call, part, &new, old);
    errors.0.extend(metadata_rules::check_update(call.kind, &new, old, part).0);
    crate::definitions::check(call, &new, Some(old), &mut errors);
    call.refuse_invalid(call.name, &new, &errors)?;
    call.warnings.extend(call.kind.warnings(&new, Some(old)));
    let seen = Attempt::of(call, Operation::Update, call.name.to_owned(), Some(old));
    admission.validate(&seen, Some(&new), &mut call.notes()).await?;

    if ends_deletion(call, &new, old) {
        if call.options.dry_run {
            return Ok(Some(Response::Object {
                object: call.unstored(&new, current.revision()),
                created: false,
            }));
        }
        let txn = Txn::delete(call.key(call.name), Expect::Revision(current.revision()));
        let txn = call.server.allocators().join_removal(call, old, txn);
        return match call.server.db().commit(txn).await {
            Ok(_) => {
                call.server.allocators().released(call, old);
                let object = call.unstored(&new, current.revision());
                Ok(Some(Response::Object { object, created: false }))
            }
            Err(error) => lost(call, error, insists),
        };
    }
    cox_api::managed::settle(old, &mut new);
    if new == *old {
        return Ok(Some(Response::Object { object: call.show(current.clone()), created: false }));
    }
    let charge = crate::admission::quota::charge(call, &seen, &new).await?;
    if call.options.dry_run {
        return Ok(Some(Response::Object {
            object: call.unstored(&new, current.revision()),
            created: false,
        }));
    }
    let txn = Txn::put(call.key(call.name), Expect::Revision(current.revision()), call.store(new));
    let txn = reservation.join(call, call.name, txn);
    match call.server.db().commit(txn).await {
        Ok(committed) => {
            reservation.keep();
            charge.keep();
            let object = call.show(committed.object().clone());
            Ok(Some(Response::Object { object, created: false }))
        }
        Err(error) => lost(call, error, insists),
    }
}

fn lost(call: &Call<'_>, error: WriteError, insists: bool) -> Result<Option<Response>, Status> {
    match error {
        WriteError::Conflict { current: None } => Err(call.not_found(call.name)),
        WriteError::Conflict { .. } if insists => Err(call.conflict(call.name, MODIFIED)),
        WriteError::Conflict { .. } | WriteError::Beside => Ok(None),
        WriteError::Failed(status) => Err(status),
    }
}

/// Keeps what this write may not touch, and counts the generation.
fn prepare(call: &Call<'_>, part: Part, new: &mut Value, old: &Value) {
    let info = call.info();
    if call.info().scope == Scope::Cluster {
        unset_meta(new, "namespace");
    }
    metadata_rules::prepare_update(new, old);
    match part {
        Part::Main if info.has_status() && !call.kind.main_writes_status() => copy_field(new, old, "status"),
        Part::Main | Part::Sub(_) => {}
        Part::Status => {
            let fields: Vec<String> = new
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key.clone())
                .chain(old.as_object().into_iter().flatten().map(|(key, _)| key.clone()))
                .filter(|key| key != "status" && key != "metadata")
                .collect();
            for field in fields {
                copy_field(new, old, &field);
            }
        }
    }
    call.kind.prepare_update(new, old, part, &call.rules());
    call.kind.form().normalize(new);
    let counts = match part {
        Part::Main => true,
        Part::Status => false,
        // Where a pod runs is no change of what it should be.
        Part::Sub(sub) => sub != "binding",
    };
    if counts && call.kind.counts_generations() {
        let differs = |key: &String| {
            let counted = key != "metadata" && (key != "status" || !info.has_status());
            counted && new.get(key.as_str()) != old.get(key.as_str())
        };
        let keys = new.as_object().into_iter().chain(old.as_object()).flatten().map(|(key, _)| key);
        if keys.into_iter().any(differs) {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            set_meta(new, "generation", generation);
        }
    }
}

fn copy_field(new: &mut Value, old: &Value, field: &str) {
    let Some(fields) = new.as_object_mut() else { return };
    match old.get(field) {
        Some(value) => {
            fields.insert(field.to_owned(), value.clone());
        }
        None => {
            fields.remove(field);
        }
    }
}

/// Whether this write takes away the last thing that kept a deleted object.
fn ends_deletion(call: &Call<'_>, new: &Value, old: &Value) -> bool {
    let deleted = &old["metadata"]["deletionTimestamp"];
    !deleted.is_null()
        && finalizers(new).is_empty()
        && old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && !(matches!(call.kind.deletion(new, Some(0)), Deletion::Finalize)
            && facts::finalization_pending(new))
}

/// A patched object, checked and with defaults.
pub(crate) fn recheck(call: &mut Call<'_>, value: Value, strictness: Strictness) -> Result<Value, Status> {
    let decoded = body::decode(Body::Json(value), Expected::of(call.kind), strictness)?;
    call.warnings.extend(decoded.warnings);
    let mut object = decoded.value;
    check_identity(call, &mut object)?;
    call.kind.set_defaults(&mut object);
    Ok(object)
}
