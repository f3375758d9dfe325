//! Who owns what after a create, an update or a patch.

use serde_json::Value;

use super::compare::{Comparison, compare};
use super::conflict::Conflicts;
use super::entries::{Entry, Operation, cap, read, write};
use super::node::Node;
use super::set::FieldSet;
use super::unowned::{owned_changes, strip};
use super::{Context, zero};
use crate::form::Form;

/// Whether a body asks to forget all owners: an empty list, or a list of one empty entry. To be asked before the
/// body is brought to normal form, and given back as [`Context::reset`].
pub fn resets(body: &Value) -> bool {
    match body.pointer("/metadata/managedFields").and_then(Value::as_array).map(Vec::as_slice) {
        Some([]) => true,
        Some([one]) => {
            one.as_object().is_some_and(|entry| entry.values().all(|value| value.is_null() || value == ""))
        }
        _ => false,
    }
}

/// Sets `metadata.managedFields` of a new version: what differs from the old one (none: a create) belongs to
/// the manager. Entries that the client sent are taken over where they can be read; on subresources they
/// can't be sent.
pub fn track(form: &Form, old: Option<&Value>, new: &mut Value, context: &Context<'_>) {
    let sent = take_managed(new);
    let known = || old.and_then(|old| read(&old["metadata"]["managedFields"])).unwrap_or_default();
    let mut entries = if !context.subresource.is_empty() {
        known()
    } else if context.reset {
        Vec::new()
    } else {
        sent.and_then(|sent| read(&sent)).filter(|sent| !sent.is_empty()).unwrap_or_else(known)
    };
    // What nobody tracked when it was made isn't tracked later.
    if entries.is_empty() && old.is_some_and(|old| !old["metadata"]["uid"].is_null()) {
        return;
    }
    match old {
        Some(old) => update(form, old, new, &mut entries, context),
        None => update(form, &zero(form), new, &mut entries, context),
    }
    cap(&mut entries);
    write(new, entries);
}

pub(super) fn take_managed(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

/// The entry of the one who writes.
pub(super) fn writer(context: &Context<'_>, operation: Operation) -> Entry {
    let manager = if context.manager.is_empty() { "unknown" } else { context.manager };
    Entry {
        manager: manager.to_owned(),
        operation,
        api_version: context.api_version.to_owned(),
        subresource: context.subresource.to_owned(),
        time: None,
        fields: FieldSet::default(),
    }
}

pub(super) fn update(form: &Form, old: &Value, new: &Value, entries: &mut Vec<Entry>, context: &Context<'_>) {
    let (_, changes) = take_over(form, old, new, entries, None, true, context);
    let mut fields = changes.modified.union(changes.added);
    strip(&mut fields);
    if fields.is_empty() {
        return;
    }
    let mut entry = Entry { time: Some(context.now.to_owned()), ..writer(context, Operation::Update) };
    if let Some(at) = entries.iter().position(|known| known.is(&entry)) {
        fields = fields.union(entries.remove(at).fields);
    }
    entry.fields = fields;
    entries.push(entry);
}

/// Takes fields that change or go from their owners (but `own`), where `force` allows it or nobody minds.
/// Returns whom it would be taken from, and what changes.
pub(super) fn take_over(
    form: &Form,
    old: &Value,
    new: &Value,
    entries: &mut Vec<Entry>,
    own: Option<&Entry>,
    force: bool,
    context: &Context<'_>,
) -> (Conflicts, Comparison) {
    let changes = owned_changes(compare(Node::root(form), old, new), context.unowned);
    let mut others: Vec<(String, Option<Comparison>)> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.api_version != context.api_version) {
        if others.iter().all(|(version, _)| *version != entry.api_version) {
            let converted = context.convert.and_then(|convert| {
                let (form, old) = convert(&entry.api_version, old)?;
                let (_, new) = convert(&entry.api_version, new)?;
                Some(owned_changes(compare(Node::root(&form), &old, &new), context.unowned))
            });
            others.push((entry.api_version.clone(), converted));
        }
    }
    let changes_of = |version: &str| match others.iter().find(|(known, _)| known == version) {
        Some((_, converted)) => converted.as_ref(),
        None => Some(&changes),
    };
    let is_own = |entry: &Entry| own.is_some_and(|own| entry.is(own));
    // A version that nobody serves any more has no owners.
    entries.retain(|entry| is_own(entry) || changes_of(&entry.api_version).is_some());
    let mut conflicts = Conflicts::default();
    for entry in entries.iter().filter(|entry| !is_own(entry)) {
        let Some(changes) = changes_of(&entry.api_version) else { continue };
        let taken =
            entry.fields.intersection(&changes.modified).union(entry.fields.intersection(&changes.added));
        if !taken.is_empty() {
            conflicts.0.push((entry.clone(), taken));
        }
    }
    if !force && !conflicts.0.is_empty() {
        return (conflicts, changes);
    }
    for entry in entries.iter_mut() {
        let Some(changes) = changes_of(&entry.api_version) else { continue };
        if is_own(entry) {
            continue;
        }
        let mut fields = std::mem::take(&mut entry.fields);
        if let Some((_, taken)) = conflicts.0.iter().find(|(owner, _)| owner.is(entry)) {
            fields = fields.difference(taken);
        }
        entry.fields = fields.difference(&changes.removed);
    }
    entries.retain(|entry| !entry.fields.is_empty());
    (Conflicts::default(), changes)
}

/// Gives a new version the old times where nothing but times of managers differs, so that an update without
/// effect is none. To be called when the new version is final.
pub fn settle(old: &Value, new: &mut Value) {
    let (Some(before), Some(after)) =
        (old["metadata"]["managedFields"].as_array(), new["metadata"]["managedFields"].as_array())
    else {
        return;
    };
    let same_entry = |a: &Value, b: &Value| {
        let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return false };
        let timeless = |(key, _): &(&String, &Value)| key.as_str() != "time";
        a.iter().filter(timeless).eq(b.iter().filter(timeless))
    };
    // Order depends on times, so entries are looked for.
    let all_known = before.len() == after.len()
        && after.iter().all(|entry| before.iter().any(|known| same_entry(known, entry)));
    if !all_known || !same_but_managed(old, new) {
        return;
    }
    new["metadata"]["managedFields"] = old["metadata"]["managedFields"].clone();
}

fn same_but_managed(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return false };
    let rest = |(key, _): &(&String, &Value)| key.as_str() != "metadata";
    let metadata =
        |(key, _): &(&String, &Value)| !matches!(key.as_str(), "managedFields" | "resourceVersion");
    let of =
        |object: &serde_json::Map<String, Value>| object.get("metadata").and_then(Value::as_object).cloned();
    let (before, after) = (of(old).unwrap_or_default(), of(new).unwrap_or_default());
    old.iter().filter(rest).eq(new.iter().filter(rest))
        && before.iter().filter(metadata).eq(after.iter().filter(metadata))
}
