//! Resource quotas: what a write uses is charged before it happens.
//! Source: <https://kubernetes.io/docs/concepts/policy/resource-quotas/>
//!
//! What was charged for a write that then fails stays charged until the quota's controller counts again, as
//! upstream has it.

mod pods;
mod usage;

use std::collections::BTreeMap;

use cox_api::quantity::Quantity;
use cox_api::{Header, Object, Reason, Status, kinds};
use cox_store::{Expect, Key, Txn};
use serde_json::Value;

use super::{Attempt, Operation, text};
use crate::core::call::Call;
use crate::db::WriteError;

const PREFIX: &str = "resourcequotas";
const TRIES_MAX: u32 = 100;

/// Amounts by resource name.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// What was charged.
pub(crate) struct Charge;

impl Charge {
    /// The write has happened.
    pub(crate) fn keep(self) {}
}

/// Charges a write to every quota of the namespace that it counts for.
pub(crate) async fn charge(call: &Call<'_>, attempt: &Attempt<'_>, object: &Value) -> Result<Charge, Status> {
    if attempt.namespace.is_empty()
        || attempt.operation == Operation::Delete
        || attempt.info.plural == "namespaces"
    {
        return Ok(Charge);
    }
    if !is_handled(attempt) {
        return Ok(Charge);
    }
    let db = call.server.db();
    if db.snapshot(PREFIX).range(Some(attempt.namespace), std::ops::Bound::Unbounded).next().is_none() {
        return Ok(Charge);
    }
    let new = usage::of(attempt.info, object);
    let old = attempt.old.map(|old| usage::of(attempt.info, old)).unwrap_or_default();
    if new.is_empty() && old.is_empty() {
        return Ok(Charge);
    }
    for _ in 0..TRIES_MAX {
        let mut charges: Option<Txn> = None;
        for quota in db.list(PREFIX, Some(attempt.namespace)) {
            let Some(charged) = charge_one(attempt, object, quota.parsed(), &new, &old)? else { continue };
            let kind = kinds::by_kind("", "v1", "ResourceQuota")
                .ok_or_else(|| Status::internal("resource quotas are not served"))?;
            let key = Key::new(PREFIX, attempt.namespace, quota.name());
            let expect = Expect::Revision(quota.revision());
            let charged = Object::new(&charged, Header::of(&charged, kind.selectable(&charged)), 0);
            charges = Some(match charges {
                None => Txn::put(key, expect, charged),
                Some(txn) => txn.and_put(key, expect, charged),
            });
        }
        let Some(txn) = charges.filter(|_| !call.options.dry_run) else { return Ok(Charge) };
        match db.commit(txn).await {
            Ok(_) => return Ok(Charge),
            Err(WriteError::Conflict { .. }) => continue,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Status::new(409, Reason::Conflict, "the quota is being changed by others"))
}

/// Whether a write can use more of anything: most kinds only do when they come.
fn is_handled(attempt: &Attempt<'_>) -> bool {
    let creates = attempt.operation == Operation::Create;
    let is = |plural: &str| attempt.info.group.is_empty() && attempt.info.plural == plural;
    match attempt.subresource {
        "" => creates || is("services") || is("persistentvolumeclaims"),
        "resize" => !creates && is("pods"),
        _ => false,
    }
}

/// The quota with the write charged to it; none where it isn't concerned.
fn charge_one(
    attempt: &Attempt<'_>,
    object: &Value,
    quota: &Value,
    new: &Amounts,
    old: &Amounts,
) -> Result<Option<Value>, Status> {
    let is_pod = attempt.info.group.is_empty() && attempt.info.plural == "pods";
    let name = text(&quota["metadata"]["name"]);
    // Only what its controller has counted once is enforced.
    let hard = usage::amounts(&quota["status"]["hard"]);
    let used = usage::amounts(&quota["status"]["used"]);
    if !scopes_match(&quota["spec"], is_pod, object) {
        return Ok(None);
    }
    if is_pod && attempt.operation == Operation::Create {
        let missing = pods::unspecified(object, hard.keys());
        if !missing.is_empty() {
            return Err(
                attempt.forbidden(&format!("failed quota: {name}: must specify {}", missing.join("; ")))
            );
        }
    }
    // What the controller didn't count yet can't be judged.
    let matching: Vec<&str> =
        hard.keys().map(String::as_str).filter(|resource| usage::counts(attempt.info, resource)).collect();
    if matching.is_empty() {
        return Ok(None);
    }
    if !matching.iter().all(|resource| used.contains_key(*resource)) {
        let why = format!("status unknown for quota: {name}, resources: {}", matching.join(","));
        return Err(attempt.forbidden(&why));
    }
    let mut delta = Amounts::new();
    for key in hard.keys() {
        let now = new.get(key).copied().unwrap_or(Quantity::ZERO);
        let before = old.get(key).copied().unwrap_or(Quantity::ZERO);
        let more = if before.is_zero() { now } else { now.minus(before) };
        if !more.is_zero() {
            delta.insert(key.clone(), more);
        }
    }
    if delta.is_empty() {
        return Ok(None);
    }
    let mut charged = quota.clone();
    let mut exceeded = Vec::new();
    for (key, more) in &delta {
        let Some(known) = used.get(key).copied() else { continue };
        let total = if known.is_zero() { *more } else { known.plus(*more) };
        if more.sign() > 0 && total > hard[key] {
            exceeded.push(key.as_str());
        }
        charged["status"]["used"][key] = total.to_string().into();
    }
    if exceeded.is_empty() {
        return Ok(Some(charged));
    }
    let show = |amounts: &Amounts| {
        let list: Vec<String> = exceeded
            .iter()
            .map(|key| format!("{key}={}", amounts.get(*key).copied().unwrap_or(Quantity::ZERO)))
            .collect();
        list.join(",")
    };
    Err(attempt.forbidden(&format!(
        "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
        show(&delta),
        show(&used),
        show(&hard)
    )))
}

/// Whether a quota's scopes take in the object; scopes are for pods.
fn scopes_match(spec: &Value, is_pod: bool, object: &Value) -> bool {
    let mut scopes = super::each(&spec["scopes"]).peekable();
    let selected = super::each(&spec["scopeSelector"]["matchExpressions"]);
    if scopes.peek().is_none() && spec["scopeSelector"].is_null() {
        return true;
    }
    is_pod
        && scopes.all(|scope| pods::in_scope(object, text(scope), "Exists", &Value::Null))
        && selected.into_iter().all(|one| {
            pods::in_scope(object, text(&one["scopeName"]), text(&one["operator"]), &one["values"])
        })
}
