//! Deleting an object: preconditions, grace, propagation, finalizers.
//! Source: <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>,
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/>

use cox_api::kind::Deletion;
use cox_api::schema::{self, Strictness};
use cox_api::{Body, FieldErrors, Object, Path, Response, Status};
use cox_store::{Expect, Txn};
use serde_json::{Map, Value, json};

use super::body;
use super::call::{Call, finalizers, meta, set_meta};
use super::facts;
use crate::admission::{Attempt, Operation};
use crate::db::WriteError;

const TRIES_MAX: u32 = 100;
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// `metav1.DeleteOptions`.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub grace_seconds: Option<i64>,
    pub propagation: Option<String>,
    pub orphan_dependents: Option<bool>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    /// Nothing, or `All`.
    pub dry_run: Vec<Value>,
}

impl DeleteOptions {
    /// From the body, or from the parameters where there is none.
    ///
    /// # Errors
    /// 400, 415, 422.
    pub(crate) fn of(call: &Call<'_>, body: Body) -> Result<DeleteOptions, Status> {
        let value = match body {
            Body::None => None,
            Body::Raw { ref bytes, .. } if bytes.is_empty() => None,
            body => Some(decode(body)?),
        };
        let options = match value {
            None => DeleteOptions {
                grace_seconds: call.options.grace_period_seconds,
                propagation: call.options.propagation_policy.clone(),
                orphan_dependents: call.options.orphan_dependents,
                dry_run: match &call.options.unknown_dry_run[..] {
                    [] if call.options.dry_run => vec!["All".into()],
                    words => words.iter().map(|word| word.as_str().into()).collect(),
                },
                ..DeleteOptions::default()
            },
            Some(value) => {
                let any = |value: &Value| value.as_str().map(str::to_owned);
                DeleteOptions {
                    grace_seconds: value["gracePeriodSeconds"].as_i64(),
                    propagation: any(&value["propagationPolicy"]),
                    orphan_dependents: value["orphanDependents"].as_bool(),
                    uid: any(&value["preconditions"]["uid"]),
                    resource_version: any(&value["preconditions"]["resourceVersion"]),
                    dry_run: value["dryRun"].as_array().cloned().unwrap_or_default(),
                }
            }
        };
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), Status> {
        let mut errors = FieldErrors::new();
        let path = Path::new("propagationPolicy");
        if let Some(policy) = &self.propagation {
            let shown = Value::from(policy.as_str());
            if self.orphan_dependents.is_some() {
                errors.invalid(&path, &shown, "orphanDependents and deletionPropagation cannot be both set");
            }
            if !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan") {
                errors.not_supported(&path, &shown, &["Foreground", "Background", "Orphan", "nil"]);
            }
        }
        if self.dry_run.iter().any(|word| word != "All") {
            let words = Value::Array(self.dry_run.clone());
            errors.not_supported(&Path::new("dryRun"), &words, &["All"]);
        }
        if errors.is_empty() { Ok(()) } else { Err(invalid(&errors)) }
    }
}

fn invalid(errors: &FieldErrors) -> Status {
    Status::invalid("meta.k8s.io", "DeleteOptions", "", &errors.0)
}

fn decode(body: Body) -> Result<Value, Status> {
    let type_id = schema::type_of("", "v1", "DeleteOptions")
        .or_else(|| schema::type_of("meta.k8s.io", "v1", "DeleteOptions"))
        .ok_or_else(|| Status::internal("the schema table has no DeleteOptions"))?;
    let value = match body {
        Body::None => return Ok(Value::Null),
        Body::Json(value) | Body::Patch(_, value) => value,
        Body::Raw { media_type, bytes } => match body::essence(&media_type) {
            "" | body::JSON => {
                if let Ok(value) = serde_json::from_slice(&bytes) {
                    check_kind(&value)?;
                }
                return schema::decode_json(type_id, &bytes, Strictness::Ignore).map(|decoded| decoded.value);
            }
            body::YAML => body::parse_yaml(&bytes, "DeleteOptions")?.value,
            body::PROTOBUF => {
                cox_api::protobuf::decode(&bytes).map_err(|error| Status::bad_request(error.to_string()))?.2
            }
            _ => {
                return Err(body::unsupported_media_type(
                    "application/json, application/yaml, application/vnd.kubernetes.protobuf",
                ));
            }
        },
    };
    check_kind(&value)?;
    Ok(schema::decode_value(type_id, value, Strictness::Ignore)?.value)
}

/// Options say that they are that, or nothing.
fn check_kind(value: &Value) -> Result<(), Status> {
    let kind = value["kind"].as_str().unwrap_or_default();
    if !kind.is_empty() && kind != "DeleteOptions" {
        let version = value["apiVersion"].as_str().unwrap_or_default();
        return Err(Status::bad_request(format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\""
        )));
    }
    Ok(())
}

/// Deletes the object of a call.
pub(crate) async fn delete(call: &mut Call<'_>, body: Body) -> Result<Response, Status> {
    let options = DeleteOptions::of(call, body)?;
    if options.propagation.is_none()
        && options.orphan_dependents.is_none()
        && let Some(text) = facts::warning_of_delete(call.info().group, call.info().plural)
    {
        call.warnings.push(text.to_owned());
    }
    let (object, gone) = remove(call, &options).await?;
    if gone && !facts::returns_deleted(call.info()) {
        return Ok(Response::Value { code: 200, value: success(call, &object) });
    }
    Ok(Response::Object { object, created: false })
}

fn success(call: &Call<'_>, object: &Object) -> Value {
    let mut details = Map::new();
    let parts = [
        ("name", object.name()),
        ("group", call.info().group),
        ("kind", call.info().plural),
        ("uid", object.uid()),
    ];
    for (key, text) in parts {
        if !text.is_empty() {
            details.insert(key.into(), text.into());
        }
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// Deletes the object of a call: what it became, and whether it is gone.
pub(crate) async fn remove(call: &mut Call<'_>, options: &DeleteOptions) -> Result<(Object, bool), Status> {
    let mut options = std::borrow::Cow::Borrowed(options);
    for _ in 0..TRIES_MAX {
        let key = call.key(call.name);
        let current = call.server.db().get_key(&key).ok_or_else(|| call.not_found(call.name))?;
        match attempt(call, &options, &current).await? {
            Some((_, Outcome::Next)) => {
                // The version that the client named was that of before.
                options.to_mut().resource_version = None;
            }
            Some((object, outcome)) => return Ok((object, outcome == Outcome::Gone)),
            None => {}
        }
    }
    Err(call.conflict(call.name, "the object is being changed by others"))
}

/// What became of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is still there.
    Stays,
    /// It is marked, and goes next.
    Next,
    /// It is gone.
    Gone,
}

/// Where an object goes.
enum Step {
    /// Nothing is to be written.
    Keep,
    /// It stays, marked.
    Mark(Value),
    /// It is marked, so that watchers see that, and goes then.
    MarkAndRemove(Value),
    /// It goes; the value is its last form.
    Remove(Value),
}

async fn attempt(
    call: &mut Call<'_>,
    options: &DeleteOptions,
    current: &Object,
) -> Result<Option<(Object, Outcome)>, Status> {
    check_preconditions(call, options, current)?;
    let old = call.read(current);
    let dry_run = !options.dry_run.is_empty();
    let mut seen = Attempt::of(call, Operation::Delete, call.name.to_owned(), Some(&old));
    seen.dry_run = dry_run;
    call.server.admission().admit_deletion(&seen, &mut call.notes()).await?;
    let revision = Expect::Revision(current.revision());
    match plan(call, options, &old) {
        Step::Keep => Ok(Some((call.show(current.clone()), Outcome::Stays))),
        Step::Mark(new) if dry_run => Ok(Some((call.unstored(&new, current.revision()), Outcome::Stays))),
        Step::Remove(last) | Step::MarkAndRemove(last) if dry_run => {
            Ok(Some((call.unstored(&last, current.revision()), Outcome::Gone)))
        }
        step @ (Step::Mark(_) | Step::MarkAndRemove(_)) => {
            let (new, outcome) = match step {
                Step::MarkAndRemove(new) => (new, Outcome::Next),
                Step::Mark(new) | Step::Remove(new) => (new, Outcome::Stays),
                Step::Keep => (old, Outcome::Stays),
            };
            let txn = Txn::put(call.key(call.name), revision, call.store(new));
            match call.server.db().commit(txn).await {
                Ok(committed) => Ok(Some((call.show(committed.object().clone()), outcome))),
                Err(error) => lost(call, options, error),
            }
        }
        Step::Remove(last) => {
            let txn = Txn::delete(call.key(call.name), revision);
            let txn = call.server.allocators().join_removal(call, &old, txn);
            match call.server.db().commit(txn).await {
                Ok(committed) => {
                    call.server.allocators().released(call, &old);
                    Ok(Some((call.unstored(&last, committed.revision), Outcome::Gone)))
                }
                Err(error) => lost(call, options, error),
            }
        }
    }
}

fn lost(
    call: &Call<'_>,
    options: &DeleteOptions,
    error: WriteError,
) -> Result<Option<(Object, Outcome)>, Status> {
    match error {
        WriteError::Conflict { current: None } => Err(call.not_found(call.name)),
        WriteError::Conflict { current: Some(now) } => {
            check_preconditions(call, options, &now)?;
            Ok(None)
        }
        WriteError::Beside => Ok(None),
        WriteError::Failed(status) => Err(status),
    }
}

fn check_preconditions(call: &Call<'_>, options: &DeleteOptions, current: &Object) -> Result<(), Status> {
    let info = call.stored().info();
    if matches!(call.kind.deletion(&Value::Null, None), Deletion::Finalize | Deletion::Finalizer(_)) {
        return check_finalized(call, options, current);
    }
    if let Some(uid) = &options.uid
        && uid != current.uid()
    {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            current.uid()
        );
        return Err(Status::conflict(info.group, info.kind, call.name, &why));
    }
    if let Some(version) = &options.resource_version
        && *version != current.revision().to_string()
    {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might have been modified",
            current.revision()
        );
        return Err(Status::conflict(info.group, info.kind, call.name, &why));
    }
    Ok(())
}

/// The same for kinds with a finalize step of their own, whose deletion upstream words differently.
fn check_finalized(call: &Call<'_>, options: &DeleteOptions, current: &Object) -> Result<(), Status> {
    let revision = current.revision().to_string();
    let facts = [
        ("UID", options.uid.as_deref(), current.uid()),
        ("ResourceVersion", options.resource_version.as_deref(), revision.as_str()),
    ];
    for (what, asked, found) in facts {
        if let Some(asked) = asked
            && asked != found
        {
            let why = format!(
                "Precondition failed: {what} in precondition: {asked}, {what} in object meta: {found}"
            );
            return Err(call.conflict(call.name, &why));
        }
    }
    Ok(())
}

/// Decides, without writing.
fn plan(call: &Call<'_>, options: &DeleteOptions, old: &Value) -> Step {
    // A negative grace is taken as one second, as upstream does.
    let asked = options.grace_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let deletion = call.kind.deletion(old, asked);
    let wanted = wanted_finalizers(call, options, old);
    let mut new = old.clone();
    let finalizers_change = wanted != finalizers(old);
    if finalizers_change {
        if wanted.is_empty() {
            if let Some(metadata) = new["metadata"].as_object_mut() {
                metadata.remove("finalizers");
            }
        } else {
            set_meta(&mut new, "finalizers", wanted.clone());
        }
    }
    let marked = !old["metadata"]["deletionTimestamp"].is_null();
    let old_grace = old["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let waits = match &deletion {
        Deletion::Now => !wanted.is_empty(),
        Deletion::Graceful { seconds } => {
            if marked {
                // Grace can be shortened, never prolonged.
                match old_grace {
                    Some(known) if *seconds < known => mark(call, &mut new, *seconds, false),
                    // Another deletion is under way.
                    _ if *seconds > 0 || old_grace == Some(0) && !wanted.is_empty() => {
                        return if finalizers_change { Step::Mark(new) } else { Step::Keep };
                    }
                    _ => {}
                }
            } else {
                mark(call, &mut new, *seconds, true);
            }
            *seconds > 0 || !wanted.is_empty()
        }
        Deletion::Finalize => facts::finalization_pending(old) || !wanted.is_empty(),
        Deletion::Finalizer(_) => true,
    };
    if !waits {
        let marks = matches!(deletion, Deletion::Graceful { .. }) && new != *old;
        return if marks { Step::MarkAndRemove(new) } else { Step::Remove(new) };
    }
    if new["metadata"]["deletionTimestamp"].is_null() {
        if let Deletion::Finalizer(keeper) = deletion {
            let mut all = finalizers(&new);
            all.push(keeper.to_owned());
            set_meta(&mut new, "finalizers", all);
        }
        if matches!(deletion, Deletion::Finalize | Deletion::Finalizer(_)) {
            // Such an object has a deletion time but no grace; its rules say what else changes.
            set_meta(&mut new, "deletionTimestamp", call.now.as_str());
            call.kind.prepare_update(&mut new, old, cox_api::Part::Sub("delete"), &call.rules());
            if new["status"].get("phase").is_some() {
                new["status"]["phase"] = "Terminating".into();
            }
        } else {
            mark(call, &mut new, 0, true);
        }
    }
    if new == *old { Step::Keep } else { Step::Mark(new) }
}

/// The last second of a day that every time zone can write: a grace period may be longer than time.
const LAST_SECOND: i64 = 253_402_199_999;

/// Sets the deletion time to `seconds` from now; from the time it had, where it is shortened.
fn mark(call: &Call<'_>, new: &mut Value, seconds: i64, first: bool) {
    let now = call.server.env().now().as_second();
    let start = if first {
        now
    } else {
        let known = meta(new, "deletionTimestamp").parse::<jiff::Timestamp>().map(|time| time.as_second());
        let grace = new["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        // A time that was cut at the last second doesn't tell when it began.
        known.ok().map(|known| known.saturating_sub(grace)).filter(|start| *start > 0).unwrap_or(now)
    };
    let end = start.saturating_add(seconds).min(LAST_SECOND);
    let time = jiff::Timestamp::from_second(end).unwrap_or(jiff::Timestamp::MAX);
    set_meta(new, "deletionTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    set_meta(new, "deletionGracePeriodSeconds", seconds);
    if first {
        let generation = new["metadata"]["generation"].as_i64().unwrap_or(0);
        if generation > 0 {
            set_meta(new, "generation", generation + 1);
        }
    }
}

/// Finalizers after the propagation policy has had its say.
fn wanted_finalizers(call: &Call<'_>, options: &DeleteOptions, old: &Value) -> Vec<String> {
    let known = finalizers(old);
    let has = |name: &str| known.iter().any(|finalizer| finalizer == name);
    let by_default = call.kind.default_propagation() == "Orphan";
    // An object without dependents that could be orphaned keeps what it has.
    let orphan = match (options.orphan_dependents, options.propagation.as_deref()) {
        (Some(orphan), _) => orphan,
        (None, Some(policy)) => policy == "Orphan",
        (None, None) => has(ORPHAN) || (!has(FOREGROUND) && by_default),
    };
    let foreground = match (options.orphan_dependents, options.propagation.as_deref()) {
        (Some(_), _) => false,
        (None, Some(policy)) => policy == "Foreground",
        (None, None) => has(FOREGROUND),
    };
    let mut wanted: Vec<String> =
        known.into_iter().filter(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND).collect();
    if orphan {
        wanted.push(ORPHAN.to_owned());
    }
    if foreground {
        wanted.push(FOREGROUND.to_owned());
    }
    // The order of what was there stays.
    let before = finalizers(old);
    if before.len() == wanted.len() && before.iter().all(|finalizer| wanted.contains(finalizer)) {
        return before;
    }
    wanted
}
