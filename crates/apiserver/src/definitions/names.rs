//! Which names a definition gets, and what its status says of that: a pure function of the definitions of a group.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The status of a definition, given those that are there besides it.
pub(super) fn status(definition: &Value, others: &[&Value], now: &str) -> Value {
    let wanted = &definition["spec"]["names"];
    let mut status = definition["status"].clone();
    let accepted = status["acceptedNames"].clone();
    let taken = Taken::of(definition, others);
    let mut conflict = None;
    let mut names: Map<String, Value> = accepted.as_object().cloned().unwrap_or_default();
    let kinds = [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ];
    for (key, reason, taken) in kinds {
        let clashing: Vec<String> = words(&wanted[key])
            .filter(|name| !words(&accepted[key]).any(|mine| mine == *name) && taken.contains(*name))
            .map(|name| format!("{name:?} is already in use"))
            .collect();
        if clashing.is_empty() {
            put(&mut names, key, wanted);
        } else {
            let message =
                if clashing.len() == 1 { clashing.concat() } else { format!("[{}]", clashing.join(", ")) };
            conflict = Some((reason, message));
        }
    }
    put(&mut names, "categories", wanted);
    for key in ["plural", "kind"] {
        names.entry(key).or_insert_with(|| "".into());
    }
    let fine = conflict.is_none();
    let (reason, message) = conflict.unwrap_or(("NoConflicts", "no conflicts found".to_owned()));
    set_condition(&mut status, "NamesAccepted", fine, reason, &message, now);
    if fine {
        let message = "the initial names have been accepted";
        if !is(&status, "Established") {
            set_condition(&mut status, "Established", true, "InitialNamesAccepted", message, now);
        }
    } else if condition(&status, "Established").is_none() {
        set_condition(&mut status, "Established", false, "NotAccepted", "not all names are accepted", now);
    }
    status["acceptedNames"] = Value::Object(names);
    status
}

/// The status of a definition that got its names and can't be served all the same.
pub(super) fn not_served(definition: &Value, why: &str, now: &str) -> Value {
    // Out of what it was: a condition that doesn't change keeps its time, so that nothing is written over and over.
    let mut status = definition["status"].clone();
    set_condition(&mut status, "Established", false, "TooManyDefinitions", why, now);
    status
}

/// Whether a condition holds.
pub(super) fn is(status: &Value, kind: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition["status"] == "True")
}

fn condition<'s>(status: &'s Value, kind: &str) -> Option<&'s Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Sets a condition; its time changes with its status.
fn set_condition(status: &mut Value, kind: &str, holds: bool, reason: &str, message: &str, now: &str) {
    let word = if holds { "True" } else { "False" };
    let since = match condition(status, kind) {
        Some(known) if known["status"] == word => known["lastTransitionTime"].clone(),
        _ => now.into(),
    };
    let new = json!({"type": kind, "status": word, "lastTransitionTime": since, "reason": reason,
        "message": message});
    let Value::Array(conditions) = &mut status["conditions"] else {
        status["conditions"] = json!([new]);
        return;
    };
    match conditions.iter_mut().find(|condition| condition["type"] == kind) {
        Some(known) => *known = new,
        None => conditions.push(new),
    }
}

/// A name, or names.
fn words(value: &Value) -> impl Iterator<Item = &str> {
    let many = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    value.as_str().into_iter().chain(many).filter(|word| !word.is_empty())
}

fn put(names: &mut Map<String, Value>, key: &str, wanted: &Value) {
    match wanted.get(key) {
        Some(name) if !name.is_null() => {
            names.insert(key.to_owned(), name.clone());
        }
        _ => {
            names.remove(key);
        }
    }
}

/// The names of a group that others have.
struct Taken<'v> {
    resources: BTreeSet<&'v str>,
    kinds: BTreeSet<&'v str>,
}

impl<'v> Taken<'v> {
    fn of(definition: &Value, others: &[&'v Value]) -> Taken<'v> {
        let mut taken = Taken { resources: BTreeSet::new(), kinds: BTreeSet::new() };
        let same_group = |other: &&&Value| {
            other["spec"]["group"] == definition["spec"]["group"]
                && other["metadata"]["name"] != definition["metadata"]["name"]
        };
        for other in others.iter().filter(same_group) {
            let names = &other["status"]["acceptedNames"];
            for key in ["plural", "singular", "shortNames"] {
                taken.resources.extend(words(&names[key]));
            }
            for key in ["kind", "listKind"] {
                taken.kinds.extend(words(&names[key]));
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(plural: &str, kind: &str) -> Value {
        json!({"metadata": {"name": format!("{plural}.x.io")}, "spec": {"group": "x.io", "names": {"plural": plural,
            "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")}}, "status": {}})
    }

    #[test]
    fn what_cannot_be_served_is_told_once() {
        let mut one = definition("ones", "One");
        one["status"] = not_served(&one, "too many", "2026-01-01T00:00:00Z");
        assert!(!is(&one["status"], "Established"));
        assert_eq!(not_served(&one, "too many", "2026-01-02T00:00:00Z"), one["status"]);
    }

    #[test]
    fn the_first_of_a_name_gets_it() {
        let mut first = definition("firsts", "Clash");
        first["status"] = status(&first, &[], "2026-01-01T00:00:00Z");
        assert!(is(&first["status"], "Established") && is(&first["status"], "NamesAccepted"));
        let mut second = definition("seconds", "Clash");
        second["status"] = status(&second, &[&first], "2026-01-01T00:00:00Z");
        assert_eq!(
            second["status"],
            json!({"acceptedNames": {"plural": "seconds", "kind": ""}, "conditions": [
                {"type": "NamesAccepted", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z",
                    "reason": "ListKindConflict", "message": "\"ClashList\" is already in use"},
                {"type": "Established", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z",
                    "reason": "NotAccepted", "message": "not all names are accepted"}]})
        );
        // Another group is another matter, and who comes first keeps it.
        assert_eq!(status(&first, &[&second], "2026-01-02T00:00:00Z"), first["status"]);
        // When the first is gone, the second gets the name.
        let again = status(&second, &[], "2026-01-03T00:00:00Z");
        assert!(is(&again, "Established"));
        assert_eq!(again["acceptedNames"]["kind"], "Clash");
    }
}
