//! Server-side apply.

use serde_json::{Value, json};

use super::compare::fields_of;
use super::entries::{Entry, Operation, read, write};
use super::last_applied;
use super::merge::{merge, remove, with_named_fields};
use super::node::Node;
use super::set::FieldSet;
use super::track::{take_managed, take_over, update, writer};
use super::typed::faults;
use super::unowned::{owned, strip};
use super::{Context, zero};
use crate::form::Form;
use crate::status::{Reason, Status};

/// The manager of fields that were there before anybody was tracked.
const BEFORE: &str = "before-first-apply";
/// The manager whose annotation of client-side apply is honoured and kept up to date.
const KUBECTL: &str = "kubectl";

/// Applies a configuration to a live object (none: it is made). The result has the merged fields and
/// `metadata.managedFields`; it may contain nulls, and has to be decoded and given defaults like a body.
///
/// # Errors
/// 400 where the configuration brings managed fields, 500 (as upstream has it) where it doesn't fit the type, 409
/// with all conflicts where it changes fields of others without force.
pub fn apply(
    form: &Form,
    live: Option<&Value>,
    config: &Value,
    context: &Context<'_>,
) -> Result<Value, Status> {
    if config.pointer("/metadata/managedFields").is_some_and(|managed| !managed.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    if let Some(faults) = faults(Node::root(form), config) {
        return Err(untyped(config, context, &faults));
    }
    let mut live = live.cloned().unwrap_or_else(|| Value::clone(&zero(form)));
    let mut entries = take_managed(&mut live).and_then(|known| read(&known)).unwrap_or_default();
    if entries.is_empty() {
        let before = Context { manager: BEFORE, ..*context };
        update(form, &zero(form), &live, &mut entries, &before);
    }
    let attempt = |force: bool| {
        let mut entries = entries.clone();
        let context = Context { force, ..*context };
        apply_once(form, &live, config, &mut entries, &context).map(|object| (object, entries))
    };
    let (object, entries) = match attempt(context.force) {
        Err(conflicts) if context.manager == KUBECTL => {
            // What client-side apply set and nobody has changed since is kubectl's own.
            let allowed = last_applied::fields(form, &live, context).unwrap_or_default();
            let mut left = conflicts;
            for (_, fields) in &mut left.0 {
                *fields = std::mem::take(fields).difference(&allowed);
            }
            left.0.retain(|(_, fields)| !fields.is_empty());
            if !left.0.is_empty() {
                return Err(left.into_status());
            }
            attempt(true).map_err(super::conflict::Conflicts::into_status)?
        }
        result => result.map_err(super::conflict::Conflicts::into_status)?,
    };
    let mut object = object.unwrap_or(live);
    if context.manager == KUBECTL {
        last_applied::renew(&mut object, config);
    }
    write(&mut object, entries);
    Ok(object)
}

fn untyped(config: &Value, context: &Context<'_>, faults: &str) -> Status {
    let text = |key: &str| config["metadata"][key].as_str().unwrap_or_default();
    let (group, version) = context.api_version.split_once('/').unwrap_or(("", context.api_version));
    let kind = config["kind"].as_str().unwrap_or_default();
    let message = format!(
        "failed to create typed patch object ({}/{}; {group}/{version}, Kind={kind}): {faults}",
        text("namespace"),
        text("name")
    );
    Status::new(500, Reason::Unknown, message)
}

/// The merged object, or none where it is the live one.
fn apply_once(
    form: &Form,
    live: &Value,
    config: &Value,
    entries: &mut Vec<Entry>,
    context: &Context<'_>,
) -> Result<Option<Value>, super::conflict::Conflicts> {
    let node = Node::root(form);
    let merged = merge(node, live, config);
    let mut own = writer(context, Operation::Apply);
    own.fields = owned(fields_of(node, config), context.unowned);
    let last = entries.iter().position(|entry| entry.is(&own)).map(|at| entries.remove(at));
    own.time = last.as_ref().and_then(|last| last.time.clone());
    entries.push(own.clone());
    let pruned = match &last {
        Some(last) if !last.fields.is_empty() => prune(form, merged, entries, last, context),
        _ => merged,
    };
    let (conflicts, _) = take_over(form, live, &pruned, entries, Some(&own), context.force, context);
    if !conflicts.0.is_empty() {
        return Err(conflicts);
    }
    let changed = pruned != *live;
    if let Some(own) = entries.iter_mut().find(|entry| entry.is(&own)) {
        strip(&mut own.fields);
        if changed {
            own.time = Some(context.now.to_owned());
        }
    }
    entries.retain(|entry| !entry.fields.is_empty());
    Ok(changed.then_some(pruned))
}

/// Takes away what the manager applied last time and doesn't any more, unless somebody else owns it or something
/// below it.
fn prune(form: &Form, merged: Value, entries: &[Entry], last: &Entry, context: &Context<'_>) -> Value {
    let converted = if last.api_version == context.api_version {
        Some((form.clone(), merged.clone()))
    } else {
        context.convert.and_then(|convert| convert(&last.api_version, &merged))
    };
    let Some((last_form, whole)) = converted else { return merged };
    let node = Node::root(&last_form);
    let named_last = with_named_fields(node, &last.fields);
    let mut pruned = remove(node, &whole, &named_last);
    if pruned.is_null() {
        pruned = json!({});
    }
    let mut owned_by_version: Vec<(&str, FieldSet)> = Vec::new();
    for entry in entries {
        match owned_by_version.iter_mut().find(|(version, _)| *version == entry.api_version) {
            Some((_, set)) => *set = std::mem::take(set).union(entry.fields.clone()),
            None => owned_by_version.push((&entry.api_version, entry.fields.clone())),
        }
    }
    for (version, owned) in owned_by_version {
        if version == last.api_version {
            pruned = put_back(node, &whole, &pruned, &owned);
        } else if let Some(convert) = context.convert
            && let (Some((other, all)), Some((_, left))) =
                (convert(version, &whole), convert(version, &pruned))
            && let Some((_, back)) =
                convert(&last.api_version, &put_back(Node::root(&other), &all, &left, &owned))
        {
            pruned = back;
        }
    }
    // Only what was applied last may go, whatever else was taken along.
    let named = |value: &Value| with_named_fields(node, &fields_of(node, value));
    let gone = named(&whole).difference(&named(&pruned)).intersection(&named_last);
    let result = remove(node, &whole, &gone);
    if last.api_version == context.api_version {
        return result;
    }
    match context.convert.and_then(|convert| convert(context.api_version, &result)) {
        Some((_, result)) => result,
        None => merged,
    }
}

/// The whole object without what was pruned and nobody owns.
fn put_back(node: Node<'_>, whole: &Value, pruned: &Value, owned: &FieldSet) -> Value {
    let named = |set: &FieldSet| with_named_fields(node, set);
    let kept = named(&fields_of(node, pruned)).union(named(owned));
    remove(node, whole, &named(&fields_of(node, whole)).difference(&kept))
}
